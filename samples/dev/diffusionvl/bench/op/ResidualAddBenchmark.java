// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.bench.op;

import dev.diffusionvl.bench.measure.KernelBenchmark;
import dev.diffusionvl.bench.measure.Operand;
import dev.diffusionvl.bench.measure.Workbench;
import dev.diffusionvl.runtime.DType;
import java.util.stream.IntStream;

/** residual_add over the rows of a pass. */
public final class ResidualAddBenchmark extends KernelBenchmark {
  private final int rows;
  private final int width = bench.config().text().hiddenSize();
  private final Operand h;
  private final Operand acc;

  public ResidualAddBenchmark(Workbench bench, int rows) {
    super(bench, "residual_add", rows + "x" + bench.config().text().hiddenSize());
    this.rows = rows;
    h = updated("h", bench.dtype(), 0, 1, rows, width);
    acc = input("acc", DType.F32, 0, 1, rows, width);
  }

  @Override
  public void launch(int copy) {
    bench.kernels().residualAdd.launch(bench.stream(), h.at(copy), acc.at(copy), null, rows, width);
  }

  @Override
  protected Operand result() {
    return h;
  }

  @Override
  protected double[] expected(int row) {
    float[] before = read(h);
    float[] added = read(acc);
    return IntStream.range(row * width, (row + 1) * width).mapToDouble(i -> (double) before[i] + added[i]).toArray();
  }
}
