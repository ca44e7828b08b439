// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.runtime.op;

import dev.diffusionvl.runtime.DType;
import dev.diffusionvl.runtime.Device;
import dev.diffusionvl.runtime.DeviceBuffer;
import dev.diffusionvl.runtime.Stream;

/**
 * What follows a denoising pass: static or dynamic low-confidence remasking (docs/model.md, "Block-diffusion generation") of as many steps
 * as the pass gives predictions for, with the token update on the device, and drafts of the states to come. Steps, quotas and counters are
 * read on the device, so the same launch serves every step.
 */
public final class Remask extends Op {
  private static final int THREADS = 256;

  /** Fields of the status: indices into it, and their number. */
  public static final int STEP = 0;

  public static final int MASKED = 1;
  public static final int NAN = 2;
  public static final int FORWARDS = 3;
  public static final int DRAFTS = 4;
  public static final int STATUS_FIELDS = 8;

  /**
   * Which positions a step commits.
   *
   * @param dynamic commit all with probability &gt; threshold if they are at least the step's quota, else as many as the quota
   * @param maskId rows that hold it are masked
   */
  public record Rule(boolean dynamic, float threshold, int maskId) {}

  /**
   * The block that is being denoised.
   *
   * @param ids I32 [1 + drafts or more, rows]: the block, which is updated, then its drafts: those of the pass (variants − 1) are read,
   *     then {@code drafts} new ones are written
   * @param stepOf I32 [rows]: the step that committed the row; -1 before the first step of a block
   * @param confidence F32 [rows]: its probability then
   * @param status I32 [{@value #STATUS_FIELDS}]: {@link #STEP} steps taken in this block, {@link #MASKED} rows left, {@link #NAN} 1 once a
   *     masked row's probability was NaN (nothing is committed from then on), {@link #FORWARDS} passes decided,
   *     {@link #DRAFTS} new drafts that hold a mask
   */
  public record Block(DeviceBuffer ids, DeviceBuffer stepOf, DeviceBuffer confidence, DeviceBuffer status) {}

  public Remask(Device device) {
    super(device, "remask");
  }

  /**
   * @param predictions token and probability [variants, rows]: what each row of each variant of the block would become
   * @param quota I32: by step, commits of a static step, least number of a dynamic one; past its end no step is taken
   * @param rows of the block
   * @param variants of the block in the pass: itself and its drafts
   * @param drafts new drafts to write
   */
  public void launch(Stream stream, Predictions predictions, Block block, DeviceBuffer quota, int rows, int variants, int drafts,
      Rule rule) {
    require(rows >= 0, "rows", rows);
    require(variants >= 1, "variants", variants);
    require(drafts >= 0, "drafts", drafts);
    check("token", predictions.token(), DType.I32, (long) variants * rows);
    check("probability", predictions.probability(), DType.F32, (long) variants * rows);
    check("ids", block.ids(), DType.I32, times(Math.max(variants, 1L + drafts), rows));
    check("step of", block.stepOf(), DType.I32, rows);
    check("confidence", block.confidence(), DType.F32, rows);
    check("status", block.status(), DType.I32, STATUS_FIELDS);
    check("quota", quota, DType.I32, 1);
    stream.launch(kernel("remask"), 1, 1, 1, THREADS, 0)
        .ptr(predictions.token()).ptr(predictions.probability()).ptr(block.ids()).ptr(block.stepOf()).ptr(block.confidence())
        .ptr(block.status()).ptr(quota).i32(rows).i32(variants).i32(drafts).i32((int) quota.elements())
        .i32(rule.dynamic() ? 1 : 0).f32(rule.threshold()).i32(rule.maskId()).go();
  }
}
