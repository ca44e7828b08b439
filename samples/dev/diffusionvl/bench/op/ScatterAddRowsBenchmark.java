// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.bench.op;

import dev.diffusionvl.bench.measure.KernelBenchmark;
import dev.diffusionvl.bench.measure.Operand;
import dev.diffusionvl.bench.measure.Workbench;
import dev.diffusionvl.runtime.DType;
import java.util.stream.IntStream;

/** scatter_add_rows: every row of a training pass to a row of the embedding table, each row named twice. */
public final class ScatterAddRowsBenchmark extends KernelBenchmark {
  private final int targets;
  private final int width = bench.config().text().hiddenSize();
  private final Operand x;
  private final Operand target;
  private final Operand begin;
  private final Operand source;
  private final Operand table;

  public ScatterAddRowsBenchmark(Workbench bench, int rows) {
    super(bench, "scatter_add_rows", rows + "x" + bench.config().text().hiddenSize());
    targets = rows / 2;
    x = input("x", rows, width);
    target = ints("target", IntStream.range(0, targets).toArray());
    begin = ints("begin", IntStream.rangeClosed(0, targets).map(i -> 2 * i).toArray());
    source = ints("source", IntStream.range(0, 2 * targets).toArray());
    table = updated("table", DType.F32, 0, 1, targets, width);
  }

  @Override
  public void launch(int copy) {
    bench.kernels().scatterAddRows.launch(bench.stream(), x.at(copy), target.at(copy), begin.at(copy), source.at(copy), table.at(copy),
        targets, width);
  }

  @Override
  protected double[] expected(int row) {
    float[] in = read(x);
    float[] before = read(table);
    return IntStream.range(0, width).mapToDouble(i -> before[row * width + i] + in[2 * row * width + i]
        + (double) in[(2 * row + 1) * width + i])
        .toArray();
  }
}
