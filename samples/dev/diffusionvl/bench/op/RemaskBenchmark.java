// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.bench.op;

import dev.diffusionvl.bench.measure.KernelBenchmark;
import dev.diffusionvl.bench.measure.Operand;
import dev.diffusionvl.bench.measure.Workbench;
import dev.diffusionvl.runtime.DType;
import dev.diffusionvl.runtime.op.Blocks;
import dev.diffusionvl.runtime.op.Predictions;
import dev.diffusionvl.runtime.op.Remask;
import dev.diffusionvl.runtime.op.Sample;
import java.util.stream.IntStream;

/**
 * remask of the blocks of some sequences. Their tokens are the mask id, so that a row stays open and every launch meets the same rows, one
 * step later.
 */
public final class RemaskBenchmark extends KernelBenchmark {
  private static final int MASK = 9;
  private static final int STEPS = 1 << 14;

  private final int sequences;
  private final int rows;
  private final Operand token;
  private final Operand probability;
  private final Operand tasks;
  private final Operand table;

  /** @param rows of a block */
  public RemaskBenchmark(Workbench bench, int sequences, int rows) {
    super(bench, "remask", sequences + "x" + rows);
    this.sequences = sequences;
    this.rows = rows;
    token = ints("token", IntStream.range(0, sequences * rows).map(i -> MASK).toArray());
    probability = input("probability", DType.F32, 0.5, 0.1, (long) sequences * rows);
    tasks = ints("tasks", IntStream.range(0, sequences).flatMap(s -> IntStream.of(s, s * rows, 1, 0)).toArray());
    int[] slot = Blocks.masked(rows, new Remask.Rule(false, 0, STEPS, STEPS, 0), new Sample.Rule(0, 0, 1, -1, 0, false), MASK);
    table = updatedInts("table", IntStream.range(0, sequences).flatMap(s -> IntStream.of(slot)).toArray());
  }

  @Override
  public void launch(int copy) {
    bench.kernels().remask.launch(bench.stream(), new Predictions(token.at(copy), probability.at(copy)), sequences * rows,
        new Blocks(table.at(copy), sequences, rows, 1), tasks.at(copy), sequences, MASK);
  }

  @Override
  protected double[] expected(int word) {
    int field = word % Blocks.words(rows, 1);
    return new double[] {field < 5 ? new int[] {1, rows, 0, 1, 0}[field] : NOT_CHECKED}; // one step, all masked, no NaN, one pass
  }
}
