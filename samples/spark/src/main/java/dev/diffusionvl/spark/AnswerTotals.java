// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.spark;

import java.io.Serializable;
import org.apache.spark.SparkContext;
import org.apache.spark.util.LongAccumulator;

/**
 * What all tasks have done together, as accumulators: Spark's page of a stage shows them, the driver reads them. A task that is repeated
 * counts again, so they tell of work and not of rows in the output.
 */
public final class AnswerTotals implements Serializable {
  private final LongAccumulator rows;
  private final LongAccumulator errors;
  private final LongAccumulator tokens;
  private final LongAccumulator rowForwards;
  private final LongAccumulator forwards;
  private final int slots;

  AnswerTotals(SparkContext context, int slots) {
    rows = context.longAccumulator("diffusionvl rows");
    errors = context.longAccumulator("diffusionvl errors");
    tokens = context.longAccumulator("diffusionvl tokens");
    rowForwards = context.longAccumulator("diffusionvl forwards of rows");
    forwards = context.longAccumulator("diffusionvl forwards of engines");
    this.slots = slots;
  }

  void count(RowAnswer answer) {
    rows.add(1);
    errors.add(answer.error() == null ? 0 : 1);
    tokens.add(answer.tokens() == null ? 0 : answer.tokens());
    rowForwards.add(answer.forwards() == null ? 0 : answer.forwards());
  }

  void countForwards(long passes) {
    forwards.add(passes);
  }

  /** Rows that were answered, those with an error included. */
  public long rows() {
    return rows.value();
  }

  /** Rows with an error. */
  public long errors() {
    return errors.value();
  }

  /** Tokens of all answers. */
  public long tokens() {
    return tokens.value();
  }

  /** Passes through the language model, however many rows each carried. */
  public long forwards() {
    return forwards.value();
  }

  /** The share of the engines' slots that passes carried a row in, 0 to 1; NaN before the first pass. */
  public double occupancy() {
    return rowForwards.value() / ((double) forwards.value() * slots);
  }
}
