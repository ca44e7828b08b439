// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.bench.op;

import dev.diffusionvl.bench.measure.KernelBenchmark;
import dev.diffusionvl.bench.measure.Operand;
import dev.diffusionvl.bench.measure.Workbench;
import dev.diffusionvl.runtime.DType;
import java.util.stream.IntStream;

/** swiglu over the rows of a pass. */
public final class SwigluBenchmark extends KernelBenchmark {
  private final int rows;
  private final int inter = bench.config().text().intermediateSize();
  private final Operand gateUp;
  private final Operand out;

  public SwigluBenchmark(Workbench bench, int rows) {
    super(bench, "swiglu", rows + "x" + bench.config().text().intermediateSize());
    this.rows = rows;
    gateUp = input("gate and up", DType.F32, 0, 1, rows, 2L * inter);
    out = output("out", bench.dtype(), rows, inter);
  }

  @Override
  public void launch(int copy) {
    bench.kernels().swiglu.launch(bench.stream(), gateUp.at(copy), null, out.at(copy), rows, inter);
  }

  @Override
  protected double[] expected(int row) {
    float[] in = read(gateUp);
    int at = 2 * row * inter;
    return IntStream.range(0, inter).mapToDouble(i -> in[at + i] / (1 + Math.exp(-in[at + i])) * in[at + inter + i]).toArray();
  }
}
