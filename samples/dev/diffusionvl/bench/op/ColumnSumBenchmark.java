// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.bench.op;

import dev.diffusionvl.bench.measure.KernelBenchmark;
import dev.diffusionvl.bench.measure.Operand;
import dev.diffusionvl.bench.measure.Workbench;
import dev.diffusionvl.runtime.DType;
import java.util.stream.IntStream;

/** column_sum over the gradient of a QKV product. */
public final class ColumnSumBenchmark extends KernelBenchmark {
  private final int rows;
  private final int width;
  private final Operand x;
  private final Operand sum;

  public ColumnSumBenchmark(Workbench bench, int rows) {
    super(bench, "column_sum", rows + "x" + bench.config().text().hiddenSize());
    this.rows = rows;
    width = bench.config().text().hiddenSize();
    x = input("x", rows, width);
    sum = updated("sum", DType.F32, 0, 1, 1, width);
  }

  @Override
  public void launch(int copy) {
    bench.kernels().columnSum.launch(bench.stream(), x.at(copy), sum.at(copy), rows, width);
  }

  @Override
  protected double[] expected(int row) {
    float[] in = read(x);
    float[] before = read(sum);
    return IntStream.range(0, width).mapToDouble(i -> before[i] + IntStream.range(0, rows).mapToDouble(r -> in[r * width + i]).sum())
        .toArray();
  }
}
