// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.bench.op;

import dev.diffusionvl.bench.measure.KernelBenchmark;
import dev.diffusionvl.bench.measure.Operand;
import dev.diffusionvl.bench.measure.Workbench;
import dev.diffusionvl.runtime.DType;
import dev.diffusionvl.runtime.op.Predictions;
import dev.diffusionvl.runtime.op.Remask;
import java.util.stream.IntStream;

/** remask of a block. Its tokens are the mask id, so that a row stays open and every launch meets the same rows, one step later. */
public final class RemaskBenchmark extends KernelBenchmark {
  private static final int MASK = 9;
  private static final int STEPS = 1 << 14;

  private final int rows;
  private final Operand token;
  private final Operand probability;
  private final Operand ids;
  private final Operand stepOf;
  private final Operand confidence;
  private final Operand status;
  private final Operand quota;

  public RemaskBenchmark(Workbench bench, int rows) {
    super(bench, "remask", "" + rows);
    this.rows = rows;
    token = ints("token", IntStream.range(0, rows).map(i -> MASK).toArray());
    probability = input("probability", DType.F32, 0.5, 0.1, rows);
    ids = updatedInts("ids", IntStream.range(0, rows).map(i -> MASK).toArray());
    quota = ints("quota", IntStream.range(0, STEPS).map(i -> 1).toArray());
    stepOf = output("step of", DType.I32, rows);
    confidence = output("confidence", DType.F32, rows);
    status = updatedInts("status", new int[] {0, rows, 0, 0, 0, 0, 0, 0});
  }

  @Override
  public void launch(int copy) {
    bench.kernels().remask.launch(bench.stream(), new Predictions(token.at(copy), probability.at(copy)),
        new Remask.Block(ids.at(copy), stepOf.at(copy), confidence.at(copy), status.at(copy)), quota.at(copy), rows, 1, 0,
        new Remask.Rule(false, 0, MASK));
  }

  @Override
  public long bytes() {
    return super.bytes() - 4L * (STEPS - 1); // a launch reads one quota
  }

  @Override
  protected Operand result() {
    return status;
  }

  @Override
  protected double[] expected(int field) {
    return new double[] {new int[] {1, rows, 0, 1, 0, 0, 0, 0}[field]}; // one step, all still masked, no NaN, one pass
  }
}
