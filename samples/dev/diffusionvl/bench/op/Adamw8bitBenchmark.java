// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.bench.op;

import dev.diffusionvl.bench.measure.KernelBenchmark;
import dev.diffusionvl.bench.measure.Operand;
import dev.diffusionvl.bench.measure.Workbench;
import dev.diffusionvl.runtime.DType;
import dev.diffusionvl.runtime.op.Adamw;
import dev.diffusionvl.runtime.op.Adamw8bit;
import java.util.stream.IntStream;

/** adamw_8bit over the weights of one MLP matrix, first step. */
public final class Adamw8bitBenchmark extends KernelBenchmark {
  private static final Adamw.Settings SETTINGS = new Adamw.Settings(1e-3f, 0.9f, 0.999f, 1e-8f, 0.01f, 1);

  private final Operand master;
  private final Operand m;
  private final Operand mScale;
  private final Operand v;
  private final Operand vScale;
  private final Operand gradient;
  private final Operand clip;
  private final Operand weight;

  public Adamw8bitBenchmark(Workbench bench, int rows) {
    super(bench, "adamw_8bit", rows + "x" + bench.config().text().hiddenSize());
    int width = bench.config().text().hiddenSize();
    long scales = Adamw8bit.scales((long) rows * width);
    master = updated("master", DType.F32, 0, 1, rows, width);
    m = zeros("first moment", DType.U8, rows, width);
    mScale = zeros("scales of the first moment", DType.F32, scales);
    v = zeros("second moment", DType.U8, rows, width);
    vScale = zeros("scales of the second moment", DType.F32, scales);
    gradient = input("gradient", DType.F32, 0, 1, rows, width);
    clip = input("clip", DType.F32, 0.5, 0, 1);
    weight = output("weight", bench.dtype(), rows, width);
  }

  @Override
  public void launch(int copy) {
    Adamw8bit.Moments moments = new Adamw8bit.Moments(m.at(copy), mScale.at(copy), v.at(copy), vScale.at(copy));
    bench.kernels().adamw8bit.launch(bench.stream(), master.at(copy), weight.at(copy), moments, gradient.at(copy), clip.at(copy),
        SETTINGS, 1);
  }

  @Override
  protected double[] expected(int row) {
    float[] w = read(master);
    float[] g = read(gradient);
    int width = bench.config().text().hiddenSize();
    return IntStream.range(row * width, (row + 1) * width)
        .mapToDouble(i -> w[i] * (1 - 1e-3 * 0.01) - 1e-3 * 0.5 * g[i] / (Math.abs(0.5 * g[i]) + 1e-8)).toArray();
  }
}
