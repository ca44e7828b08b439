// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.samples.bench.op;

import dev.diffusionvl.runtime.DType;
import dev.diffusionvl.samples.bench.KernelBenchmark;
import dev.diffusionvl.samples.bench.Operand;
import dev.diffusionvl.samples.bench.Workbench;
import java.util.stream.IntStream;

/** remask of a block. Its tokens are the mask id, so that a row stays open and every launch meets the same state. */
public final class RemaskBenchmark extends KernelBenchmark {
  private static final int MASK = 9;

  private final int rows;
  private final Operand token;
  private final Operand probability;
  private final Operand ids;
  private final Operand masked;
  private final Operand committed;
  private final Operand status;

  public RemaskBenchmark(Workbench bench, int rows) {
    super(bench, "remask", "" + rows);
    this.rows = rows;
    token = ints("token", IntStream.range(0, rows).map(i -> MASK).toArray());
    probability = input("probability", DType.F32, 0.5, 0.1, rows);
    ids = updatedInts("ids", IntStream.range(0, rows).map(i -> MASK).toArray());
    masked = updatedInts("masked", IntStream.range(0, rows).map(i -> 1).toArray());
    committed = output("committed", DType.I32, rows);
    status = output("status", DType.I32, 1, 3);
  }

  @Override
  public void launch(int copy) {
    bench.kernels().remask().launch(bench.stream(), token.at(copy), probability.at(copy), ids.at(copy), masked.at(copy),
        committed.at(copy), status.at(copy), rows, 1, false, 0, MASK);
  }

  @Override
  protected double[] expected(int row) {
    return new double[] {1, rows, 0}; // one committed, all still masked, no NaN
  }
}
