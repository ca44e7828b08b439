// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.bench.op;

import dev.diffusionvl.bench.measure.KernelBenchmark;
import dev.diffusionvl.bench.measure.Operand;
import dev.diffusionvl.bench.measure.Workbench;
import dev.diffusionvl.runtime.DType;
import dev.diffusionvl.runtime.op.Adamw;
import java.util.stream.IntStream;

/** adamw over the weights of one MLP matrix. */
public final class AdamwBenchmark extends KernelBenchmark {
  private static final Adamw.Settings SETTINGS = new Adamw.Settings(1e-3f, 0.9f, 0.999f, 1e-8f, 0.01f, 10);

  private final Operand master;
  private final Operand m;
  private final Operand v;
  private final Operand gradient;
  private final Operand clip;
  private final Operand weight;

  public AdamwBenchmark(Workbench bench, int rows) {
    super(bench, "adamw", rows + "x" + bench.config().text().hiddenSize());
    int width = bench.config().text().hiddenSize();
    master = updated("master", DType.F32, 0, 1, rows, width);
    m = updated("first moment", DType.F32, 0, 0.1, rows, width);
    v = updated("second moment", DType.F32, 10, 1, rows, width);
    gradient = input("gradient", DType.F32, 0, 1, rows, width);
    clip = input("clip", DType.F32, 0.5, 0, 1);
    weight = output("weight", bench.dtype(), rows, width);
  }

  @Override
  public void launch(int copy) {
    bench.kernels().adamw.launch(bench.stream(), master.at(copy), weight.at(copy), m.at(copy), v.at(copy), gradient.at(copy), clip.at(copy),
        SETTINGS);
  }

  @Override
  protected double[] expected(int row) {
    float[] w = read(master);
    float[] first = read(m);
    float[] second = read(v);
    float[] g = read(gradient);
    int width = bench.config().text().hiddenSize();
    return IntStream.range(row * width, (row + 1) * width).mapToDouble(i -> {
      double moment = (0.9 * first[i] + 0.1 * 0.5 * g[i]) / (1 - Math.pow(0.9, 10));
      double square = (0.999 * second[i] + 0.001 * 0.25 * g[i] * g[i]) / (1 - Math.pow(0.999, 10));
      return w[i] * (1 - 1e-3 * 0.01) - 1e-3 * moment / (Math.sqrt(square) + 1e-8);
    }).toArray();
  }
}
