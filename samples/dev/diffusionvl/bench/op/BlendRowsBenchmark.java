// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.bench.op;

import dev.diffusionvl.bench.measure.KernelBenchmark;
import dev.diffusionvl.bench.measure.Operand;
import dev.diffusionvl.bench.measure.Workbench;
import dev.diffusionvl.runtime.DType;
import java.util.stream.IntStream;

/** blend_rows: the SigLIP family's features resized between four neighbours. */
public final class BlendRowsBenchmark extends KernelBenchmark {
  private static final int TERMS = 4;

  private final int rows;
  private final int width = bench.config().text().hiddenSize();
  private final Operand table;
  private final Operand index;
  private final Operand weight;
  private final Operand out;

  public BlendRowsBenchmark(Workbench bench, int rows) {
    super(bench, "blend_rows", rows + "x" + bench.config().text().hiddenSize());
    this.rows = rows;
    table = input("table", rows, width);
    index = ints("index", IntStream.range(0, TERMS * rows).map(this::source).toArray());
    weight = input("weight", DType.F32, 0.25, 0.05, rows, TERMS);
    out = output("out", bench.dtype(), rows, width);
  }

  /** A row and its three successors. */
  private int source(int term) {
    return (term / TERMS + term % TERMS) % rows;
  }

  @Override
  public void launch(int copy) {
    bench.kernels().blendRows.launch(bench.stream(), table.at(copy), index.at(copy), weight.at(copy), out.at(copy), rows, width, rows);
  }

  @Override
  protected double[] expected(int row) {
    float[] in = read(table);
    float[] w = read(weight);
    return IntStream.range(0, width).mapToDouble(i -> IntStream.range(0, TERMS)
        .mapToDouble(t -> (double) w[row * TERMS + t] * in[source(row * TERMS + t) * width + i]).sum()).toArray();
  }
}
