// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.bench.op;

import dev.diffusionvl.bench.measure.KernelBenchmark;
import dev.diffusionvl.bench.measure.Operand;
import dev.diffusionvl.bench.measure.Workbench;
import java.util.stream.IntStream;

/** swiglu_backward over the rows of a training pass. */
public final class SwigluBackwardBenchmark extends KernelBenchmark {
  private final int rows;
  private final int inter = bench.config().text().intermediateSize();
  private final Operand gateUp;
  private final Operand dOut;
  private final Operand gradient;

  public SwigluBackwardBenchmark(Workbench bench, int rows) {
    super(bench, "swiglu_backward", rows + "x" + bench.config().text().intermediateSize());
    this.rows = rows;
    gateUp = input("gate and up", rows, 2L * inter);
    dOut = input("gradient of the output", rows, inter);
    gradient = output("gradient", bench.dtype(), rows, 2L * inter);
  }

  @Override
  public void launch(int copy) {
    bench.kernels().swigluBackward.launch(bench.stream(), gateUp.at(copy), dOut.at(copy), gradient.at(copy), rows, inter);
  }

  @Override
  protected double[] expected(int row) {
    float[] in = read(gateUp);
    float[] g = read(dOut);
    int at = 2 * row * inter;
    return IntStream.range(0, 2 * inter).mapToDouble(i -> {
      double gate = in[at + i % inter];
      double sigmoid = 1 / (1 + Math.exp(-gate));
      double d = g[row * inter + i % inter];
      return i < inter ? d * in[at + inter + i] * sigmoid * (1 + gate * (1 - sigmoid)) : d * gate * sigmoid;
    }).toArray();
  }
}
