// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.bench.op;

import dev.diffusionvl.bench.measure.KernelBenchmark;
import dev.diffusionvl.bench.measure.Operand;
import dev.diffusionvl.bench.measure.Workbench;
import java.util.stream.IntStream;

/** gather_rows: the embeddings of a block. */
public final class GatherRowsBenchmark extends KernelBenchmark {
  private final int rows;
  private final int width = bench.config().text().hiddenSize();
  private final int vocab = bench.config().text().vocabSize();
  private final Operand table = input("table", vocab, width);
  private final Operand index;
  private final Operand out;

  public GatherRowsBenchmark(Workbench bench, int rows) {
    super(bench, "gather_rows", rows + "x" + bench.config().text().hiddenSize());
    this.rows = rows;
    index = ints("index", IntStream.range(0, rows).map(i -> (i * 7919 + 13) % vocab).toArray());
    out = output("out", bench.dtype(), rows, width);
  }

  @Override
  public void launch(int copy) {
    bench.kernels().gatherRows.launch(bench.stream(), table.at(copy), index.at(copy), null, out.at(copy), rows, width, vocab);
  }

  @Override
  public long bytes() {
    return 2L * rows * width * bench.dtype().bytes(); // not the whole table
  }

  @Override
  protected double[] expected(int row) {
    float[] values = read(table.at(0).slice((long) (row * 7919 + 13) % vocab * width, width));
    return IntStream.range(0, width).mapToDouble(i -> values[i]).toArray();
  }
}
