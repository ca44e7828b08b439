// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.train;

import java.util.List;
import java.util.stream.Collectors;

/** A training run needs more device memory than is free. Known before anything is loaded. */
public final class MemoryPlanException extends RuntimeException {
  /** @param alternatives with which it would fit; may be empty */
  public MemoryPlanException(TrainingPlan plan, long free, List<TrainingPlan.Alternative> alternatives) {
    super("training needs %s of device memory, %s are free; ".formatted(TrainingPlan.readable(plan.need()), TrainingPlan.readable(free))
        + (alternatives.isEmpty() ? "no flags make it fit, except a smaller --max-length"
            : "it fits with " + alternatives.stream().map(other -> other.flags() + " (" + TrainingPlan.readable(other.need()) + ")")
                .collect(Collectors.joining(", or with "))));
  }
}
