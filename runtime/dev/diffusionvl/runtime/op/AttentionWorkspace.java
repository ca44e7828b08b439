// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.runtime.op;

import dev.diffusionvl.runtime.DType;
import dev.diffusionvl.runtime.DeviceBuffer;
import dev.diffusionvl.runtime.DeviceScope;
import dev.diffusionvl.runtime.Stream;

/**
 * Lets several blocks share the keys of a row: where their partial results meet. It makes passes of few rows fast (denoising). One
 * workspace serves all layers of the passes of one stream, and only that stream: launches that run at the same time must not share it.
 *
 * <p>The number of ranges of a list of keys follows from its length and {@link #maxSplits}, which follows from the heads: a row has the
 * same bits in every pass with a workspace, whatever else is in the pass. Without a workspace they may be other bits.
 */
public final class AttentionWorkspace implements AutoCloseable {
  static final int TILE_ROWS = 16;
  private static final int TARGET_BLOCKS = 128; // about a block for each multiprocessor of a large GPU; fixed, for the same bits on all
  private static final int NOMINAL_ROWS = 8;
  private static final int MOST_SPLITS = 32;

  private final int group;
  private final int kvHeads;
  private final int headDim;
  private final int maxSplits;
  private final boolean overlap;
  private final int capacity; // tiles of a kv head
  private final DeviceScope owned;
  private final DeviceBuffer partial; // F32 [capacity, kvHeads, maxSplits, headDim / 8 + 1, 32, 4]
  private final DeviceBuffer arrived; // I32 [capacity, kvHeads], 0 between launches

  /**
   * @param stream the stream of all launches
   * @param heads query heads, a multiple of kvHeads
   * @param headDim 128, 80 or 72
   * @param maxSegments most segments of a pass
   * @param maxRows most rows of a segment
   */
  public AttentionWorkspace(Stream stream, int heads, int kvHeads, int headDim, int maxSegments, int maxRows) {
    this(stream, heads, kvHeads, headDim, maxSegments, maxRows, false);
  }

  /**
   * The same.
   *
   * @param overlap as that of {@link SkinnyWorkspace}: launches start while the kernel before them ends
   */
  public AttentionWorkspace(Stream stream, int heads, int kvHeads, int headDim, int maxSegments, int maxRows, boolean overlap) {
    if (kvHeads < 1 || heads < 1 || heads % kvHeads != 0 || headDim < 8 || maxSegments < 1 || maxRows < 1) {
      throw new IllegalArgumentException("attention workspace: heads %d, kv heads %d, head dim %d, segments %d, rows %d".formatted(heads,
          kvHeads, headDim, maxSegments, maxRows));
    }
    this.group = heads / kvHeads;
    this.kvHeads = kvHeads;
    this.headDim = headDim;
    this.overlap = overlap && stream.device().overlaps();
    maxSplits = maxSplits(kvHeads, group);
    capacity = Math.multiplyExact(maxSegments, tiles(maxRows, group));
    try (DeviceScope scope = new DeviceScope(stream.device())) {
      partial = scope.allocate("attention partial results", DType.F32, capacity, kvHeads, maxSplits, headDim / 8 + 1, 32, 4);
      arrived = scope.allocate("attention arrivals", DType.I32, capacity, kvHeads);
      stream.fill(arrived, 0);
      owned = scope.keep();
    }
  }

  /** Bytes that a workspace takes; the parameters are those of the constructor. */
  public static long bytes(int heads, int kvHeads, int headDim, int maxSegments, int maxRows) {
    int group = heads / kvHeads;
    long arrivals = (long) maxSegments * tiles(maxRows, group) * kvHeads;
    return arrivals * (Integer.BYTES + (long) maxSplits(kvHeads, group) * (headDim / 8 + 1) * 32 * 4 * Float.BYTES);
  }

  private static int maxSplits(int kvHeads, int group) {
    return Math.clamp(TARGET_BLOCKS / ((long) kvHeads * tiles(NOMINAL_ROWS, group)), 1, MOST_SPLITS);
  }

  private static int tiles(int rows, int group) {
    return Op.blocks(Math.multiplyExact(rows, group), TILE_ROWS);
  }

  /** Whether a pass of these segments has room. */
  public boolean fits(Segments segments) {
    return (long) segments.count() * tiles(segments.maxRows(), group) <= capacity;
  }

  /** Most ranges of a list of keys. */
  public int maxSplits() {
    return maxSplits;
  }

  /** Throws unless the workspace was made for such a launch. */
  void check(Heads heads, Segments segments) {
    if (heads.query() != group * kvHeads || heads.keyValue() != kvHeads || heads.dim() != headDim || !fits(segments)) {
      throw new IllegalArgumentException(("attention: workspace is for %d heads, %d kv heads, head dim %d, %d tiles; the launch has %d, "
          + "%d, %d, %d segments of up to %d rows").formatted(group * kvHeads, kvHeads, headDim, capacity, heads.query(), heads.keyValue(),
          heads.dim(), segments.count(), segments.maxRows()));
    }
  }

  boolean overlap() {
    return overlap;
  }

  DeviceBuffer partial() {
    return partial;
  }

  DeviceBuffer arrived() {
    return arrived;
  }

  @Override
  public void close() {
    owned.close();
  }
}
