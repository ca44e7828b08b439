// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.bench.op;

import dev.diffusionvl.bench.measure.KernelBenchmark;
import dev.diffusionvl.bench.measure.Operand;
import dev.diffusionvl.bench.measure.Workbench;
import dev.diffusionvl.runtime.DType;
import dev.diffusionvl.runtime.op.RmsNormBackward;
import java.util.stream.IntStream;

/** rms_norm_backward over the rows of a training pass. */
public final class RmsNormBackwardBenchmark extends KernelBenchmark {
  private static final float EPS = 1e-6f;

  private final int rows;
  private final int width = bench.config().text().hiddenSize();
  private final Operand x;
  private final Operand weight;
  private final Operand dy;
  private final Operand dWeight;
  private final Operand scratch;
  private final Operand dx;

  public RmsNormBackwardBenchmark(Workbench bench, int rows) {
    super(bench, "rms_norm_backward", rows + "x" + bench.config().text().hiddenSize());
    this.rows = rows;
    x = input("x", rows, width);
    weight = input("weight", bench.dtype(), 1, 0.1, width);
    dy = input("dy", rows, width);
    dWeight = updated("weight gradient", DType.F32, 0, 1, width);
    scratch = scratch("scratch", DType.F32, RmsNormBackward.scratch(rows, width));
    dx = updated("dx", bench.dtype(), 0, 1, rows, width);
  }

  @Override
  public void launch(int copy) {
    bench.kernels().rmsNormBackward.launch(bench.stream(), x.at(copy), weight.at(copy), dy.at(copy), dx.at(copy), dWeight.at(copy),
        scratch.at(copy), rows, width, EPS);
  }

  @Override
  protected double[] expected(int row) {
    float[] in = read(x);
    float[] w = read(weight);
    float[] g = read(dy);
    float[] bypass = read(dx);
    int at = row * width;
    double inverse = 1 / Math.sqrt(IntStream.range(0, width).mapToDouble(i -> Math.pow(in[at + i], 2)).sum() / width + EPS);
    double mean = IntStream.range(0, width).mapToDouble(i -> g[at + i] * w[i] * in[at + i] * inverse).sum() / width;
    return IntStream.range(0, width).mapToDouble(i -> bypass[at + i] + inverse * (w[i] * g[at + i] - in[at
        + i] * inverse * mean)).toArray();
  }
}
