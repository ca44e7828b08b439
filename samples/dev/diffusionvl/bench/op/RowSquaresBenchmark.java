// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.bench.op;

import dev.diffusionvl.bench.measure.KernelBenchmark;
import dev.diffusionvl.bench.measure.Operand;
import dev.diffusionvl.bench.measure.Workbench;
import dev.diffusionvl.runtime.DType;
import dev.diffusionvl.runtime.op.RowSquares;
import java.util.stream.IntStream;

/** row_squares of embeddings, before the first layer. */
public final class RowSquaresBenchmark extends KernelBenchmark {
  private static final int GROUP = 128;

  private final int rows;
  private final int width = bench.config().text().hiddenSize();
  private final Operand x;
  private final Operand squares;

  public RowSquaresBenchmark(Workbench bench, int rows) {
    super(bench, "row_squares", rows + "x" + bench.config().text().hiddenSize());
    this.rows = rows;
    x = input("x", rows, width);
    squares = output("squares", DType.F32, rows, RowSquares.groups(width));
  }

  @Override
  public void launch(int copy) {
    bench.kernels().rowSquares.launch(bench.stream(), x.at(copy), squares.at(copy), rows, width);
  }

  @Override
  protected double[] expected(int row) {
    float[] in = read(x);
    return IntStream.range(0, RowSquares.groups(width)).mapToDouble(g -> IntStream.range(g * GROUP, Math.min(width, (g + 1) * GROUP))
        .mapToDouble(i -> Math.pow(in[row * width + i], 2)).sum()).toArray();
  }
}
