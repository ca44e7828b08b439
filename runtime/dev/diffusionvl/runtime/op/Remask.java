// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.runtime.op;

import dev.diffusionvl.runtime.DType;
import dev.diffusionvl.runtime.Device;
import dev.diffusionvl.runtime.DeviceBuffer;
import dev.diffusionvl.runtime.Stream;

/**
 * What follows a denoising pass: static or dynamic low-confidence remasking (docs/model.md, "Block-diffusion generation") of as many steps
 * as the pass gives predictions for, with the token update on the device, and drafts of the states to come. One launch decides the blocks
 * of many sequences, each by its own rule.
 */
public final class Remask extends Op {
  private static final int THREADS = 256;

  /**
   * Which positions a step commits.
   *
   * @param dynamic commit all with probability &gt; threshold if they are at least the step's quota, else as many as the quota
   * @param positions that {@code steps} steps commit together: the quota of a step is positions / steps, and one more in the first
   *     positions mod steps (docs/model.md, "Schedule")
   * @param steps a block may take one more
   * @param drafts new drafts to write
   */
  public record Rule(boolean dynamic, float threshold, int positions, int steps, int drafts) {
    public Rule {
      if (positions < 0 || steps < 1 || drafts < 0) {
        throw new IllegalArgumentException("remask: positions %d, steps %d, drafts %d".formatted(positions, steps, drafts));
      }
    }
  }

  public Remask(Device device) {
    super(device, "remask");
  }

  /**
   * @param predictions token and probability [predicted]: what each row of each variant of the blocks would become
   * @param tasks I32 [count, {@value Blocks#TASK_FIELDS}]: the blocks to decide, each of them once; rows of their predictions must lie
   *     below {@code predicted}
   * @param maskId rows that hold it are masked
   */
  public void launch(Stream stream, Predictions predictions, int predicted, Blocks blocks, DeviceBuffer tasks, int count, int maskId) {
    require(predicted >= 0, "predicted", predicted);
    require(count >= 0, "count", count);
    check("token", predictions.token(), DType.I32, predicted);
    check("probability", predictions.probability(), DType.F32, predicted);
    check("table", blocks.table(), DType.I32, times(blocks.slots(), blocks.stride()));
    check("tasks", tasks, DType.I32, (long) count * Blocks.TASK_FIELDS);
    stream.launch(kernel("remask"), count, 1, 1, THREADS, 0)
        .ptr(predictions.token()).ptr(predictions.probability()).ptr(blocks.table()).ptr(tasks).i32(blocks.stride()).i32(blocks.rows())
        .i32(maskId).go();
  }
}
