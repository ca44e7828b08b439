// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.bench.op;

import dev.diffusionvl.bench.measure.KernelBenchmark;
import dev.diffusionvl.bench.measure.Operand;
import dev.diffusionvl.bench.measure.Workbench;
import java.util.stream.IntStream;

/** rms_norm over the rows of a pass. */
public final class RmsNormBenchmark extends KernelBenchmark {
  private final int rows;
  private final int width = bench.config().text().hiddenSize();
  private final Operand x;
  private final Operand weight;
  private final Operand y;

  public RmsNormBenchmark(Workbench bench, int rows) {
    super(bench, "rms_norm", rows + "x" + bench.config().text().hiddenSize());
    this.rows = rows;
    x = input("x", rows, width);
    weight = input("weight", bench.dtype(), 1, 0.1, width);
    y = output("y", bench.dtype(), rows, width);
  }

  @Override
  public void launch(int copy) {
    bench.kernels().rmsNorm.launch(bench.stream(), x.at(copy), weight.at(copy), y.at(copy), rows, width, 1e-6f);
  }

  @Override
  protected double[] expected(int row) {
    float[] in = read(x);
    float[] scale = read(weight);
    double square = IntStream.range(0, width).mapToDouble(i -> Math.pow(in[row * width + i], 2)).sum();
    double inverse = 1 / Math.sqrt(square / width + 1e-6);
    return IntStream.range(0, width).mapToDouble(i -> in[row * width + i] * inverse * scale[i]).toArray();
  }
}
