// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.bench.op;

import dev.diffusionvl.bench.measure.KernelBenchmark;
import dev.diffusionvl.bench.measure.Operand;
import dev.diffusionvl.bench.measure.Workbench;
import java.util.stream.IntStream;

/** layer_norm over the positions of the SigLIP tower's tiles. */
public final class LayerNormBenchmark extends KernelBenchmark {
  private static final int WIDTH = 1152;
  private static final float EPS = 1e-6f;

  private final int rows;
  private final Operand x;
  private final Operand weight;
  private final Operand bias;
  private final Operand y;

  public LayerNormBenchmark(Workbench bench, int rows) {
    super(bench, "layer_norm", rows + "x" + WIDTH);
    this.rows = rows;
    x = input("x", rows, WIDTH);
    weight = input("weight", bench.dtype(), 1, 0.1, WIDTH);
    bias = input("bias", WIDTH);
    y = output("y", bench.dtype(), rows, WIDTH);
  }

  @Override
  public void launch(int copy) {
    bench.kernels().layerNorm.launch(bench.stream(), x.at(copy), weight.at(copy), bias.at(copy), y.at(copy), rows, WIDTH, EPS);
  }

  @Override
  protected double[] expected(int row) {
    float[] in = read(x);
    float[] scale = read(weight);
    float[] shift = read(bias);
    double mean = IntStream.range(0, WIDTH).mapToDouble(i -> in[row * WIDTH + i]).sum() / WIDTH;
    double variance = IntStream.range(0, WIDTH).mapToDouble(i -> Math.pow(in[row * WIDTH + i] - mean, 2)).sum() / WIDTH;
    double inverse = 1 / Math.sqrt(variance + EPS);
    return IntStream.range(0, WIDTH).mapToDouble(i -> (in[row * WIDTH + i] - mean) * inverse * scale[i] + shift[i]).toArray();
  }
}
