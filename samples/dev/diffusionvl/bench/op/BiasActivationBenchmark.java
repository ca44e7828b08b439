// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.bench.op;

import dev.diffusionvl.bench.measure.KernelBenchmark;
import dev.diffusionvl.bench.measure.Operand;
import dev.diffusionvl.bench.measure.Workbench;
import dev.diffusionvl.runtime.DType;
import dev.diffusionvl.runtime.op.BiasActivation;
import java.util.stream.IntStream;

/** bias_activation: the merger's GELU. Its reference is the tanh form. */
public final class BiasActivationBenchmark extends KernelBenchmark {
  private final int rows;
  private final int width = 4 * bench.config().vision().hiddenSize();
  private final Operand acc;
  private final Operand bias;
  private final Operand out;

  public BiasActivationBenchmark(Workbench bench, int rows) {
    super(bench, "bias_activation", rows + "x" + 4 * bench.config().vision().hiddenSize());
    this.rows = rows;
    acc = input("acc", DType.F32, 0, 1, rows, width);
    bias = input("bias", width);
    out = output("out", bench.dtype(), rows, width);
  }

  @Override
  public void launch(int copy) {
    bench.kernels().biasActivation.launch(bench.stream(), acc.at(copy), bias.at(copy), out.at(copy), rows, width,
        BiasActivation.GELU_TANH);
  }

  @Override
  protected double[] expected(int row) {
    float[] in = read(acc);
    float[] b = read(bias);
    return IntStream.range(0, width).mapToDouble(i -> gelu((double) in[row * width + i] + b[i])).toArray();
  }

  private static double gelu(double x) {
    return x / 2 * (1 + Math.tanh(Math.sqrt(2 / Math.PI) * (x + 0.044715 * x * x * x)));
  }
}
