// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.model;

import static java.lang.foreign.ValueLayout.JAVA_FLOAT;
import static java.lang.foreign.ValueLayout.JAVA_INT;

import dev.diffusionvl.runtime.DType;
import dev.diffusionvl.runtime.Device;
import dev.diffusionvl.runtime.DeviceBuffer;
import dev.diffusionvl.runtime.DeviceScope;
import dev.diffusionvl.runtime.PinnedBuffer;
import dev.diffusionvl.runtime.Stream;
import dev.diffusionvl.runtime.op.Predictions;
import dev.diffusionvl.runtime.op.Remask;

/**
 * The block that is being denoised, on the device: tokens, drafts and counters, which the kernels of a pass read and advance. The host's
 * copy is as of the last {@link #begin} or {@link #read}.
 */
final class BlockState implements AutoCloseable {
  /** Id of a row whose embedding comes from the prompt. */
  static final int GIVEN = -1;

  private static final int NEVER = -1;

  private final int rows;
  private final DeviceScope owned;
  private final DeviceBuffer ints; // [status | step of | finished block's ids | ids | drafts | token]
  private final DeviceBuffer known; // what the host knows of it: all up to the ids
  private final DeviceBuffer forwards;
  private final DeviceBuffer finishedAndIds;
  private final Remask.Block block;
  private final Predictions predictions;
  private final PinnedBuffer host; // [known | confidence]
  private final int stepOfAt = Remask.STATUS_FIELDS;
  private final int finishedAt;
  private final int idsAt;

  /**
   * @param rows of a block
   * @param variants most variants of the block in a pass: itself and its drafts
   */
  BlockState(Device device, int rows, int variants) {
    this.rows = rows;
    finishedAt = stepOfAt + rows;
    idsAt = finishedAt + rows;
    long predicted = (long) variants * rows;
    try (DeviceScope scope = new DeviceScope(device)) {
      ints = scope.allocate("block state", DType.I32, idsAt + 2 * predicted);
      known = ints.slice(0, idsAt + rows);
      forwards = ints.slice(Remask.FORWARDS, 1);
      finishedAndIds = ints.slice(finishedAt, 2L * rows);
      block = new Remask.Block(ints.slice(idsAt, predicted), ints.slice(stepOfAt, rows),
          scope.allocate("confidence of the commits", DType.F32, rows), ints.slice(0, Remask.STATUS_FIELDS));
      predictions = new Predictions(ints.slice(idsAt + predicted, predicted), scope.allocate("confidence", DType.F32, predicted),
          scope.allocate("logit maximum", DType.F32, predicted), scope.allocate("softmax denominator", DType.F32, predicted));
      host = scope.allocatePinned("block state", known.bytes() + block.confidence().bytes());
      owned = scope.keep();
    }
  }

  /** Forgets earlier generations. */
  void reset() {
    host.segment().fill((byte) 0);
  }

  /**
   * Starts a block; the one before it becomes the finished block. Waits for nothing: call it again only after a {@link #read}.
   *
   * @param ids the mask id, or {@link #GIVEN}, for each row
   */
  void begin(Stream stream, int[] ids, int maskId) {
    int masked = 0;
    for (int i = 0; i < rows; i++) {
      set(finishedAt + i, get(idsAt + i));
      set(idsAt + i, ids[i]);
      set(stepOfAt + i, NEVER);
      masked += ids[i] == maskId ? 1 : 0;
    }
    set(Remask.STEP, 0);
    set(Remask.MASKED, masked);
    set(Remask.DRAFTS, 0);
    stream.uploadAsync(host, 0, known);
  }

  /** Reads back what the passes since {@link #begin} did; waits for them. */
  void read(Stream stream) {
    stream.downloadAsync(known, host, 0);
    stream.downloadAsync(block.confidence(), host, known.bytes());
    stream.synchronize();
  }

  private void set(int at, int value) {
    host.segment().setAtIndex(JAVA_INT, at, value);
  }

  private int get(int at) {
    return host.segment().getAtIndex(JAVA_INT, at);
  }

  int rows() {
    return rows;
  }

  /** Token id, the mask id, or {@link #GIVEN}. */
  int id(int row) {
    return get(idsAt + row);
  }

  /** The step that committed the row, −1 before. */
  int stepOf(int row) {
    return get(stepOfAt + row);
  }

  /** Rows that the step committed. */
  int committedBy(int step) {
    int count = 0;
    for (int i = 0; i < rows; i++) {
      count += stepOf(i) == step ? 1 : 0;
    }
    return count;
  }

  /** Probability of the row's token when it was committed. */
  float confidence(int row) {
    return host.segment().get(JAVA_FLOAT, known.bytes() + 4L * row);
  }

  /** Steps taken in this block. */
  int step() {
    return get(Remask.STEP);
  }

  /** Masked rows left. */
  int masked() {
    return get(Remask.MASKED);
  }

  boolean sawNaN() {
    return get(Remask.NAN) != 0;
  }

  /** Denoising passes of the generation; after a NaN, the number of the pass that met it. */
  int forwards() {
    return get(Remask.FORWARDS);
  }

  /** Drafts of the block on the device that a pass can learn from. */
  int drafts() {
    return get(Remask.DRAFTS);
  }

  /** As the kernels see it; its ids are [variants, rows]: this block, then its drafts. */
  Remask.Block block() {
    return block;
  }

  /** I32 [1]: denoising passes so far. */
  DeviceBuffer forwardsBuffer() {
    return forwards;
  }

  /** I32 [2, rows]: the finished block, then this one. */
  DeviceBuffer finishedAndIds() {
    return finishedAndIds;
  }

  /** [variants, rows]: what the pass predicts for each row. */
  Predictions predictions() {
    return predictions;
  }

  @Override
  public void close() {
    owned.close();
  }
}
