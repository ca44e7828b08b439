// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.bench.op;

import dev.diffusionvl.bench.measure.KernelBenchmark;
import dev.diffusionvl.bench.measure.Operand;
import dev.diffusionvl.bench.measure.Workbench;
import dev.diffusionvl.runtime.DType;
import dev.diffusionvl.runtime.op.LayerNormBackward;
import java.util.function.IntToDoubleFunction;
import java.util.stream.IntStream;

/** layer_norm_backward over the positions of the SigLIP tower's tiles. */
public final class LayerNormBackwardBenchmark extends KernelBenchmark {
  private static final int WIDTH = 1152;
  private static final float EPS = 1e-6f;

  private final int rows;
  private final Operand x;
  private final Operand weight;
  private final Operand dy;
  private final Operand parameters;
  private final Operand scratch;
  private final Operand dx;

  public LayerNormBackwardBenchmark(Workbench bench, int rows) {
    super(bench, "layer_norm_backward", rows + "x" + WIDTH);
    this.rows = rows;
    x = input("x", rows, WIDTH);
    weight = input("weight", bench.dtype(), 1, 0.1, WIDTH);
    dy = input("dy", rows, WIDTH);
    parameters = updated("gradients of weight and bias", DType.F32, 0, 1, 2, WIDTH);
    scratch = scratch("scratch", DType.F32, LayerNormBackward.scratch(rows, WIDTH));
    dx = updated("dx", bench.dtype(), 0, 1, rows, WIDTH);
  }

  @Override
  public void launch(int copy) {
    bench.kernels().layerNormBackward.launch(bench.stream(), x.at(copy), weight.at(copy), dy.at(copy), dx.at(copy),
        parameters.at(copy).slice(0, WIDTH), parameters.at(copy).slice(WIDTH, WIDTH), scratch.at(copy), rows, WIDTH, EPS);
  }

  @Override
  protected double[] expected(int row) {
    float[] in = read(x);
    float[] w = read(weight);
    float[] g = read(dy);
    float[] bypass = read(dx);
    int at = row * WIDTH;
    double mean = mean(i -> in[at + i]);
    double inverse = 1 / Math.sqrt(mean(i -> Math.pow(in[at + i] - mean, 2)) + EPS);
    double scaled = mean(i -> g[at + i] * w[i]);
    double product = mean(i -> g[at + i] * w[i] * (in[at + i] - mean) * inverse);
    return IntStream.range(0, WIDTH).mapToDouble(i -> bypass[at + i] + inverse * (w[i] * g[at + i] - scaled
        - (in[at + i] - mean) * inverse * product)).toArray();
  }

  private static double mean(IntToDoubleFunction value) {
    return IntStream.range(0, WIDTH).mapToDouble(value).sum() / WIDTH;
  }
}
