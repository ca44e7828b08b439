// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.cli;

import dev.diffusionvl.eval.ExactMatch;
import dev.diffusionvl.loader.ModelConfig;
import dev.diffusionvl.runtime.DType;
import dev.diffusionvl.runtime.Device;
import dev.diffusionvl.train.MemoryPlanException;
import dev.diffusionvl.train.PassSizes;
import dev.diffusionvl.train.TrainerOptions;
import dev.diffusionvl.train.TrainingPlan;
import java.util.List;

/**
 * Prints the memory that a training run will take.
 *
 * @param questions that the run asks; null: none
 * @param json as one JSON object
 */
record PlanReport(ModelConfig config, DType dtype, TrainerOptions options, PassSizes sizes, ExactMatch questions,
    boolean json) {
  /**
   * Prints it.
   *
   * @param device that the run is for; null: a GPU
   * @throws MemoryPlanException if more is needed than is free
   */
  void print(Device device, long free) {
    long asking = questions == null ? 0 : questions.bytes(device);
    TrainingPlan plan = TrainingPlan.of(config, dtype, options, sizes.of(options.batch()), asking, device);
    boolean fits = plan.need() <= free;
    List<TrainingPlan.Alternative> others = fits ? List.of() : plan.alternatives(config, dtype, device, sizes, free);
    System.out.println(json ? "{\"plan\": " + plan.json(free, others) + "}" : plan.table(free).stripTrailing());
    if (!fits) {
      throw new MemoryPlanException(plan, free, others);
    }
  }
}
