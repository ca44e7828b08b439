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
 * <p>The number of ranges of a list of keys follows from its length and from the heads: {@link #usualRanges}, or for a long list as many as
 * it has times four tiles of keys, 32 at most. So a row has the same bits in every pass with a workspace, whatever else is in the pass.
 * Without a workspace they may be other bits.
 */
public final class AttentionWorkspace implements AutoCloseable {
  static final int TILE_ROWS = 16;
  private static final int KEY_TILE = 64;
  private static final int TARGET_BLOCKS = 128; // about a block for each multiprocessor of a large GPU; fixed, for the same bits on all
  private static final int NOMINAL_ROWS = 8;
  private static final int RANGE_TILES = 4;
  private static final int MOST_RANGES = 32;
  private static final int BLOCKS_AT_ONCE = 384; // on a large GPU
  private static final int LONG = 8192; // keys of a list: more of them, and reading them takes longer than all else

  private final int group;
  private final int kvHeads;
  private final int headDim;
  private final int longest;
  private final int usualRanges;
  private final int mostRanges;
  private final boolean overlap;
  private final int capacity; // tiles of a kv head
  private final DeviceScope owned;
  private final DeviceBuffer partial; // F32 [capacity, kvHeads, mostRanges, headDim / 8 + 1, 32, 4]
  private final DeviceBuffer arrived; // I32 [capacity, kvHeads], 0 between launches

  /**
   * @param stream the stream of all launches
   * @param heads query heads, a multiple of kvHeads
   * @param headDim 128, 80 or 72
   * @param maxSegments most segments of a pass
   * @param maxRows most rows of a segment
   * @param maxKeys most keys that a row sees
   */
  public AttentionWorkspace(Stream stream, int heads, int kvHeads, int headDim, int maxSegments, int maxRows, int maxKeys) {
    this(stream, heads, kvHeads, headDim, maxSegments, maxRows, maxKeys, false);
  }

  /**
   * The same.
   *
   * @param overlap as that of {@link SkinnyWorkspace}: launches start while the kernel before them ends
   */
  public AttentionWorkspace(Stream stream, int heads, int kvHeads, int headDim, int maxSegments, int maxRows, int maxKeys,
      boolean overlap) {
    if (kvHeads < 1 || heads < 1 || heads % kvHeads != 0 || headDim < 8 || maxSegments < 1 || maxRows < 1 || maxKeys < 0) {
      throw new IllegalArgumentException("attention workspace: heads %d, kv heads %d, head dim %d, segments %d, rows %d, keys %d"
          .formatted(heads, kvHeads, headDim, maxSegments, maxRows, maxKeys));
    }
    this.group = heads / kvHeads;
    this.kvHeads = kvHeads;
    this.headDim = headDim;
    this.overlap = overlap && stream.device().overlaps();
    longest = maxKeys;
    usualRanges = usualRanges(kvHeads, group);
    mostRanges = ranges(maxKeys, usualRanges);
    capacity = Math.multiplyExact(maxSegments, room(tiles(maxRows, group)));
    try (DeviceScope scope = new DeviceScope(stream.device())) {
      partial = scope.allocate("attention partial results", DType.F32, capacity, kvHeads, mostRanges, headDim / 8 + 1, 32, 4);
      arrived = scope.allocate("attention arrivals", DType.I32, capacity, kvHeads);
      stream.fill(arrived, 0);
      owned = scope.keep();
    }
  }

  /** Bytes that a workspace takes; the parameters are those of the constructor. */
  public static long bytes(int heads, int kvHeads, int headDim, int maxSegments, int maxRows, int maxKeys) {
    int group = heads / kvHeads;
    long arrivals = (long) maxSegments * room(tiles(maxRows, group)) * kvHeads;
    return arrivals * (Integer.BYTES + (long) ranges(maxKeys, usualRanges(kvHeads, group)) * (headDim / 8 + 1) * 32 * 4 * Float.BYTES);
  }

  private static int usualRanges(int kvHeads, int group) {
    return Math.clamp(TARGET_BLOCKS / ((long) kvHeads * tiles(NOMINAL_ROWS, group)), 1, MOST_RANGES);
  }

  /** Most ranges of lists of up to so many keys. */
  private static int ranges(int keys, int usual) {
    return Math.max(usual, Math.min(MOST_RANGES, Op.blocks(keys, RANGE_TILES * KEY_TILE)));
  }

  private static int tiles(int rows, int group) {
    return Op.blocks(Math.multiplyExact(rows, group), TILE_ROWS);
  }

  /** Places for so many tiles of rows, of which two may share a block. */
  private static int room(int tiles) {
    return tiles == 1 ? 1 : Math.ceilDiv(tiles, 2) * 2;
  }

  /** Whether a pass of these segments has room. */
  public boolean fits(Segments segments) {
    return (long) segments.count() * room(tiles(segments.maxRows(), group)) <= capacity && segments.maxKeys() <= longest;
  }

  /** Most ranges of a list of keys that is not long. */
  public int usualRanges() {
    return usualRanges;
  }

  /** Most ranges of any list. */
  int mostRanges() {
    return mostRanges;
  }

  /**
   * How many tiles of rows share a block, and so read their keys together: two where there are more blocks than run at once, or where keys
   * are many; else one, for each then has a multiprocessor of its own. No bit depends on it.
   */
  int tilesOfBlock(Segments segments) {
    int tiles = tiles(segments.maxRows(), group);
    long blocks = (long) segments.count() * tiles * kvHeads * ranges(segments.maxKeys(), usualRanges);
    return tiles > 1 && (blocks > BLOCKS_AT_ONCE || segments.maxKeys() > LONG) ? 2 : 1;
  }

  /** Throws unless the workspace was made for such a launch. */
  void check(Heads heads, Segments segments) {
    if (heads.query() != group * kvHeads || heads.keyValue() != kvHeads || heads.dim() != headDim || !fits(segments)) {
      throw new IllegalArgumentException(("attention: workspace is for %d heads, %d kv heads, head dim %d, %d tiles, lists of %d keys; the "
          + "launch has %d, %d, %d, %d segments of up to %d rows, lists of up to %d").formatted(group * kvHeads, kvHeads, headDim, capacity,
          longest, heads.query(), heads.keyValue(), heads.dim(), segments.count(), segments.maxRows(), segments.maxKeys()));
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
