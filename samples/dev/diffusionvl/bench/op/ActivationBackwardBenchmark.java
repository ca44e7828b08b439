// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.bench.op;

import dev.diffusionvl.bench.measure.KernelBenchmark;
import dev.diffusionvl.bench.measure.Operand;
import dev.diffusionvl.bench.measure.Workbench;
import dev.diffusionvl.runtime.op.BiasActivation;
import java.util.stream.IntStream;

/** activation_backward (GELU by tanh) over the rows of a projector. */
public final class ActivationBackwardBenchmark extends KernelBenchmark {
  private final int rows;
  private final int width = bench.config().text().hiddenSize();
  private final Operand x;
  private final Operand dy;
  private final Operand dx;

  public ActivationBackwardBenchmark(Workbench bench, int rows) {
    super(bench, "activation_backward", rows + "x" + bench.config().text().hiddenSize());
    this.rows = rows;
    x = input("x", rows, width);
    dy = input("dy", rows, width);
    dx = output("dx", bench.dtype(), rows, width);
  }

  @Override
  public void launch(int copy) {
    bench.kernels().activationBackward.launch(bench.stream(), x.at(copy), dy.at(copy), dx.at(copy), (long) rows * width,
        BiasActivation.GELU_TANH);
  }

  @Override
  protected double[] expected(int row) {
    float[] in = read(x);
    float[] g = read(dy);
    double factor = Math.sqrt(2 / Math.PI);
    return IntStream.range(row * width, (row + 1) * width).mapToDouble(i -> {
      double t = Math.tanh(factor * (in[i] + 0.044715 * Math.pow(in[i], 3)));
      return g[i] * (0.5 * (1 + t) + 0.5 * in[i] * (1 - t * t) * factor * (1 + 3 * 0.044715 * in[i] * in[i]));
    }).toArray();
  }
}
