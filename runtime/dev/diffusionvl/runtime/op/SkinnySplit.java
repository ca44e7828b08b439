// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.runtime.op;

/**
 * How a skinny product is spread over blocks: its units (tile of 128 rows of w, chunk of 64 of k) in one line, {@code span} of them per
 * block. A function of the product's shape alone, never of the number of rows of x or of the device, since the order of summation
 * follows from it. A device that cannot run so many blocks at once divides the units among fewer, in the same order of summation.
 *
 * @param tiles tiles of w
 * @param chunks chunks of k in a tile
 * @param span units of a block
 * @param blocks blocks that have units
 */
public record SkinnySplit(int tiles, int chunks, int span, int blocks) {
  static final int TILE = 128;
  static final int CHUNK = 64;

  /** Most blocks of a grid: two on each of an H100's 132 multiprocessors. A constant on every device. */
  static final int MAX_BLOCKS = 264;

  private static final int[] GRIDS = {MAX_BLOCKS, MAX_BLOCKS / 2};
  /** With fewer units than this a block is done before its ring of stages has filled. */
  private static final int LEAST_SPAN = 4;

  /**
   * @param n rows of w
   * @param k columns of w
   * @param paired the halves of w are used in pairs of rows (gate and up), a tile has 64 pairs
   */
  public static SkinnySplit of(int n, int k, boolean paired) {
    SkinnySplit best = null;
    long least = Long.MAX_VALUE;
    for (int grid : GRIDS) {
      SkinnySplit split = over(grid, n, k, paired);
      long idle = (long) split.span * grid - (long) split.tiles * split.chunks; // in the last round, as units
      if (idle < least) {
        best = split;
        least = idle;
      }
    }
    return best;
  }

  /**
   * Over a grid of one's own choice: for measurements, as another grid gives other bits.
   *
   * @param grid most blocks, up to {@value #MAX_BLOCKS}
   */
  public static SkinnySplit over(int grid, int n, int k, boolean paired) {
    if (grid < 1 || grid > MAX_BLOCKS) {
      throw new IllegalArgumentException("skinny split: grid is " + grid + ", allowed is 1 to " + MAX_BLOCKS);
    }
    int tiles = paired ? Op.blocks(n / 2, TILE / 2) : Op.blocks(n, TILE);
    int chunks = Op.blocks(k, CHUNK);
    int units = Math.multiplyExact(tiles, chunks);
    int span = Math.max(LEAST_SPAN, Op.blocks(units, grid));
    return new SkinnySplit(tiles, chunks, span, Op.blocks(units, span));
  }
}
