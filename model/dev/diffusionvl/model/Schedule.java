// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.model;

import dev.diffusionvl.model.GenerationOptions.Remasking;
import dev.diffusionvl.runtime.op.Remask;
import java.util.Arrays;

/**
 * What the steps of a block commit (docs/model.md, "Schedule").
 *
 * @param positions that the steps share, n
 * @param steps S
 * @param threshold τ of dynamic remasking
 */
record Schedule(int positions, int steps, Remasking remasking, float threshold) {
  /** S + 1 numbers: n div S everywhere and one more in the first n mod S. */
  int[] quota() {
    int[] quota = new int[steps + 1];
    Arrays.setAll(quota, i -> positions / steps + (i < positions % steps ? 1 : 0));
    return quota;
  }

  boolean dynamic() {
    return remasking == Remasking.LOW_CONFIDENCE_DYNAMIC;
  }

  /** As the device knows it. */
  Remask.Rule rule(int drafts) {
    return new Remask.Rule(dynamic(), threshold, positions, steps, drafts);
  }
}
