// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.runtime.op;

import static java.lang.foreign.ValueLayout.JAVA_FLOAT;
import static java.lang.foreign.ValueLayout.JAVA_INT;

import dev.diffusionvl.runtime.DType;
import dev.diffusionvl.runtime.Device;
import dev.diffusionvl.runtime.DeviceBuffer;
import dev.diffusionvl.runtime.DeviceScope;
import dev.diffusionvl.runtime.PinnedBuffer;
import dev.diffusionvl.runtime.Stream;

/**
 * The blocks that are being denoised, one per slot: tokens, drafts and counters, which {@link Remask} advances, and how each sequence is
 * decided; mirrors {@code cuda/include/block_table.cuh}. Launches read all of it on the device, so the same launch serves every pass.
 *
 * <p>The host has a copy in pinned memory. Methods with a slot read and write the copy; it is as of the last {@link #download}, and
 * what was written to it reaches the device by {@link #upload}.
 */
public final class BlockTable implements AutoCloseable {
  private static final int NEVER = -1;

  private final int slots;
  private final int rows;
  private final int variants;
  private final int stride;
  private final DeviceScope owned;
  private final DeviceBuffer buffer;
  private final Blocks blocks;
  private final DeviceBuffer[] ofSlot; // without drafts, which the host does not know
  private final PinnedBuffer host;

  /**
   * @param rows of a block
   * @param variants most variants of a block in a pass: itself and its drafts
   */
  public BlockTable(Device device, int slots, int rows, int variants) {
    if (slots < 1 || rows < 0 || variants < 1) {
      throw new IllegalArgumentException("block table: slots %d, rows %d, variants %d".formatted(slots, rows, variants));
    }
    this.slots = slots;
    this.rows = rows;
    this.variants = variants;
    stride = Blocks.words(rows, variants);
    try (DeviceScope scope = new DeviceScope(device)) {
      buffer = scope.allocate("block table", DType.I32, slots, stride);
      host = scope.allocatePinned("block table", buffer.bytes());
      owned = scope.keep();
    }
    host.segment().fill((byte) 0);
    blocks = new Blocks(buffer, slots, rows, variants);
    ofSlot = new DeviceBuffer[slots];
    for (int slot = 0; slot < slots; slot++) {
      ofSlot[slot] = buffer.slice((long) slot * stride, Blocks.HEAD + 4L * rows);
    }
  }

  /** Starts a sequence in a slot: how its blocks are decided. Its passes are counted from 0. */
  public void start(int slot, Remask.Rule rule, Sample.Rule sampling) {
    if (rule.drafts() >= variants) {
      throw new IllegalArgumentException("block table: %d drafts, room for %d".formatted(rule.drafts(), variants - 1));
    }
    int[] head = Blocks.head(rule, sampling);
    for (int i = 0; i < head.length; i++) {
      set(slot, i, head[i]);
    }
  }

  /**
   * Starts a block in a slot; the one before it becomes the finished block.
   *
   * @param ids the mask id, any negative number for a row that is no token, or the token id of a row that is committed already: by the
   *     first step, with probability 1
   */
  public void begin(int slot, int[] ids, int maskId) {
    int masked = 0;
    for (int i = 0; i < rows; i++) {
      set(slot, Blocks.HEAD + 2 * rows + i, id(slot, i));
      set(slot, Blocks.HEAD + 3 * rows + i, ids[i]);
      set(slot, Blocks.HEAD + i, NEVER);
      if (ids[i] >= 0 && ids[i] != maskId) {
        commit(slot, i, ids[i], 0, 1);
      }
      masked += ids[i] == maskId ? 1 : 0;
    }
    set(slot, Blocks.STEP, 0);
    set(slot, Blocks.MASKED, masked);
    set(slot, Blocks.OPEN_DRAFTS, 0);
  }

  /** Commits a row on the host. */
  public void commit(int slot, int row, int id, int step, float probability) {
    set(slot, Blocks.HEAD + row, step);
    set(slot, Blocks.HEAD + rows + row, Float.floatToRawIntBits(probability));
    set(slot, Blocks.HEAD + 3 * rows + row, id);
  }

  /** Counts a step that was decided on the host. */
  public void stepped(int slot, int masked) {
    set(slot, Blocks.STEP, step(slot) + 1);
    set(slot, Blocks.MASKED, masked);
    set(slot, Blocks.FORWARDS, forwards(slot) + 1);
  }

  /**
   * Puts ids into a slot whose rows the host decides by itself: those of the block, then those of its drafts.
   *
   * @param ids token ids, or any negative number for a row that is no token; up to variants · rows of them
   * @param finished those of the finished block; none: they stay as they are
   * @param passes of the sequence so far, by which draws differ
   */
  public void put(int slot, int[] ids, int[] finished, int passes) {
    for (int i = 0; i < finished.length; i++) {
      set(slot, Blocks.HEAD + 2 * rows + i, finished[i]);
    }
    for (int i = 0; i < ids.length; i++) {
      set(slot, Blocks.HEAD + 3 * rows + i, ids[i]);
    }
    set(slot, Blocks.FORWARDS, passes);
  }

  /** As {@link #upload}, with the ids of the drafts. */
  public void uploadDrafts(Stream stream, int slot) {
    stream.uploadAsync(host, 4L * slot * stride, buffer.slice((long) slot * stride, stride));
  }

  /** Queues the copy of a slot to the device. The host's copy of the slot must not be written until the stream has got so far. */
  public void upload(Stream stream, int slot) {
    stream.uploadAsync(host, 4L * slot * stride, ofSlot[slot]);
  }

  /** Queues the copy of all slots from the device; the host has it once the stream is synchronised. */
  public void download(Stream stream) {
    stream.downloadAsync(buffer, host, 0);
  }

  private void set(int slot, int at, int value) {
    host.segment().set(JAVA_INT, at(slot, at), value);
  }

  private int get(int slot, int at) {
    return host.segment().get(JAVA_INT, at(slot, at));
  }

  private long at(int slot, int at) {
    return 4 * ((long) slot * stride + at);
  }

  /** Sequences that it has room for. */
  public int slots() {
    return slots;
  }

  /** Rows of a block. */
  public int rows() {
    return rows;
  }

  /** Most variants of a block. */
  public int variants() {
    return variants;
  }

  /** Token id of a row of the block, the mask id, or negative. */
  public int id(int slot, int row) {
    return get(slot, Blocks.HEAD + 3 * rows + row);
  }

  /** The step that committed the row, −1 before. */
  public int stepOf(int slot, int row) {
    return get(slot, Blocks.HEAD + row);
  }

  /** Probability of the row's token when it was committed. */
  public float confidence(int slot, int row) {
    return host.segment().get(JAVA_FLOAT, at(slot, Blocks.HEAD + rows + row));
  }

  /** Steps taken in this block. */
  public int step(int slot) {
    return get(slot, Blocks.STEP);
  }

  /** Masked rows left. */
  public int masked(int slot) {
    return get(slot, Blocks.MASKED);
  }

  /** Whether a masked row's probability was NaN: nothing is committed from then on. */
  public boolean sawNaN(int slot) {
    return get(slot, Blocks.NAN) != 0;
  }

  /** Denoising passes of the sequence; after a NaN, the number of the pass that met it. */
  public int forwards(int slot) {
    return get(slot, Blocks.FORWARDS);
  }

  /** Drafts on the device that a pass can learn from. */
  public int openDrafts(int slot) {
    return get(slot, Blocks.OPEN_DRAFTS);
  }

  /** Where the finished block's ids of a slot begin in {@link #buffer}; those of the block follow, then those of its drafts. */
  public int finishedIdsAt(int slot) {
    return slot * stride + Blocks.HEAD + 2 * rows;
  }

  /** I32 [slots, stride]. */
  public DeviceBuffer buffer() {
    return buffer;
  }

  /** As kernels take it. */
  public Blocks blocks() {
    return blocks;
  }

  @Override
  public void close() {
    owned.close();
  }
}
