// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.bench.predict;

import dev.diffusionvl.loader.TextConfig;
import dev.diffusionvl.model.KvChoice;
import dev.diffusionvl.runtime.DType;
import java.util.Set;

/**
 * Attention's part of the {@link TimeModel}. A block goes through a range of the keys, tile by tile, each on its way while it works on the
 * one before. What is seen of that is the longest of four: keys and values from memory, once for all who read them; the same from the L2
 * cache, once for each block; the same from shared memory, once for sixteen rows; and the tiles of a block, one after the other, as often
 * as blocks do not fit all at once. At the end partial results are merged, by one block for each tile of rows or two.
 */
final class AttentionTime {
  /** Shared memory that a block takes of a multiprocessor. */
  static final int BLOCK_BYTES = 72 << 10;

  // Microseconds.
  private static final double GAP = 1.3; // between two nodes of a graph
  private static final double SEGMENT = 0.6; // the description of what it sees
  private static final double KEYS = 0.9;
  private static final double KEYS_NEAR = 0.6; // from the L2 cache: its latency, and 32 KB per multiprocessor
  private static final double FIRST_TILE = 0.8;
  private static final double NEXT_TILE = 1.0;
  private static final double WARPS = 0.4; // the warps of a block add up
  private static final double HAND_OVER = 0.3; // partial sums stored and fenced by one thread
  private static final double ARRIVAL = 0.4; // an atomic to the L2 cache and back
  private static final double RANGES = 1.2; // partial results stored, fences by all threads, arrival
  private static final double EACH_RANGE = 0.1; // asked for one after the other
  private static final double FIRST_RANGES = 0.5; // asked for together
  private static final double EPILOGUE = 0.4;

  private static final double PRODUCTS = 0.22; // of sixteen rows with a tile of keys: what they read of shared memory, for a multiprocessor
  private static final double NEAR_BYTES = 41e3; // that a multiprocessor gets in a microsecond from the L2 cache, when all ask
  private static final double NEAR_BYTES_ALONE = 110e3; // when few do
  private static final int KEY_TILE = 64;
  private static final int ROW_TILE = 16;
  private static final int BLOCK_ROWS = 8;
  private static final int TARGET_BLOCKS = 128;
  private static final int BLOCKS_AT_ONCE = 384;
  private static final int LONG = 8192; // keys
  private static final int RANGE_TILES = 4;
  private static final int MOST_RANGES = 32;

  private final Gpu gpu;
  private final Set<Change> changes;

  AttentionTime(Gpu gpu, Set<Change> changes) {
    this.gpu = gpu;
    this.changes = changes;
  }

  /** @param rows of the pass: a block of 8 or fewer, or as many as 8 blocks that see the same context and each itself */
  KernelTime of(TextConfig c, KvChoice kv, int context, int rows) {
    int keyBytes = kv.rowBytes(c, DType.BF16);
    int group = c.heads() / c.kvHeads();
    int usual = Math.clamp(TARGET_BLOCKS / ((long) c.kvHeads() * Math.ceilDiv(BLOCK_ROWS * group, ROW_TILE)), 1, MOST_RANGES);
    int keys = context + Math.min(rows, BLOCK_ROWS);
    int keyTiles = Math.ceilDiv(keys, KEY_TILE);
    boolean longer = changes.contains(Change.RANGES);
    int most = longer ? Math.max(usual, Math.min(MOST_RANGES, Math.ceilDiv(keyTiles, RANGE_TILES))) : usual;
    int each = Math.ceilDiv(keyTiles, most);
    int ranges = Math.ceilDiv(keyTiles, each);
    int rowTiles = Math.ceilDiv(rows, BLOCK_ROWS) * Math.ceilDiv(Math.min(rows, BLOCK_ROWS) * group, ROW_TILE);
    int single = rowTiles * c.kvHeads() * ranges;
    int together = longer && (single > BLOCKS_AT_ONCE || keys > LONG) ? 2 : 1;
    int blocks = Math.ceilDiv(single, together);

    long bytes = 2L * keyBytes * c.kvHeads() * (context + rows);
    double stream = bytes / gpu.copyBytesPerSecond() * 1e6;
    double near = (double) blocks * each * 2 * KEY_TILE * keyBytes / (gpu.multiprocessors() * NEAR_BYTES);
    int resident = Math.max(1, Math.min(gpu.sharedBytes() / BLOCK_BYTES, together == 1 ? 3 : 2)) * gpu.multiprocessors();
    double products = (double) single * each / gpu.multiprocessors() * PRODUCTS;
    double wave = SEGMENT + KEYS_NEAR + FIRST_TILE + WARPS + HAND_OVER + ARRIVAL; // of blocks that begin when others have ended
    double work = (each - 1) * NEXT_TILE + Math.max(0, (double) blocks / resident - 1) * (wave + (each - 1) * NEXT_TILE);

    // It waits for the kernel before when it knows what it sees, and its keys may be near.
    boolean early = changes.contains(Change.OVERLAP) && changes.contains(Change.AHEAD);
    double begin = early ? KEYS_NEAR : SEGMENT + KEYS;
    double latency = begin + FIRST_TILE + Math.max(0, Math.max(work, Math.max(near - KEYS_NEAR, products - FIRST_TILE)) - stream);
    double partial = (c.headDim() / 8 + 1) * 32 * 16.0; // bytes
    double meeting = changes.contains(Change.TAILS)
        ? HAND_OVER + ARRIVAL + FIRST_RANGES + ranges * together * partial / NEAR_BYTES_ALONE : RANGES + EACH_RANGE * ranges;
    double tail = WARPS + (ranges > 1 ? meeting : 0) + EPILOGUE;
    return new KernelTime("attention", c.layers(), bytes, stream, latency, tail, early ? 0 : GAP);
  }
}
