// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.runtime.op;

import dev.diffusionvl.runtime.DType;
import dev.diffusionvl.runtime.Device;
import dev.diffusionvl.runtime.DeviceBuffer;
import dev.diffusionvl.runtime.DeviceScope;
import dev.diffusionvl.runtime.Stream;

/**
 * Where the blocks of skinny products that share a tile hand over their sums. One serves all products of a stream, one after the other;
 * two streams need one each. Launches leave it as they found it, so they can be captured and replayed.
 */
public final class SkinnyWorkspace implements AutoCloseable {
  /** The system property that turns bulk copies off, by {@code false}, where nothing else is said. */
  public static final String BULK = "dvl.ring";

  /** Most rows of x that one launch of a skinny product takes. */
  public static final int MAX_ROWS = 64;

  private final DeviceScope owned;
  private final DeviceBuffer partials;
  private final DeviceBuffer arrived;
  private final int rows;
  private final boolean overlap;
  private final boolean bulk;
  private final int blocks;

  /** @param maxRows most rows of x of a product; more than 64 need no more memory than 64 */
  public SkinnyWorkspace(Stream stream, int maxRows) {
    this(stream, maxRows, false);
  }

  /**
   * @param maxRows most rows of x of a product; more than 64 need no more memory than 64
   * @param overlap products in bf16 and f16 start while the kernel before them ends and fetch their first weights meanwhile (programmatic
   *     dependent launch, needs jni-kernels; compute capability 9.0 and newer, ignored elsewhere); changes no bit
   */
  public SkinnyWorkspace(Stream stream, int maxRows, boolean overlap) {
    this(stream, maxRows, overlap, bulkByDefault());
  }

  /**
   * @param maxRows most rows of x of a product; more than 64 need no more memory than 64
   * @param overlap as above
   * @param bulk products of up to 8 rows with {@linkplain WeightMatrix#mapped mapped} or packed weights copy them in bulk (tensor maps and
   *     mbarriers, where {@link Device#copiesInBulk} says so, ignored elsewhere); changes no bit. All others copy by cp.async
   */
  public SkinnyWorkspace(Stream stream, int maxRows, boolean overlap, boolean bulk) {
    this(stream, maxRows, overlap, bulk, 0);
  }

  /**
   * @param maxRows most rows of x of a product; more than 64 need no more memory than 64
   * @param overlap as above
   * @param bulk as above
   * @param blocks most blocks of a launch, for measurements: fewer than a product has spans divide its units evenly, which changes no bit.
   *     0: as many as the device runs at once. Other values only where that can matter, and on the emulated device: code for compute
   *     capability 9.0 and 10.x, with room for all, leaves the division out
   * @throws IllegalArgumentException for such a device
   */
  public SkinnyWorkspace(Stream stream, int maxRows, boolean overlap, boolean bulk, int blocks) {
    Device device = stream.device();
    if (blocks < 0 || blocks > 0 && !device.emulated() && hasRoomForAll(device)) {
      throw new IllegalArgumentException("skinny workspace: blocks is " + blocks + ", on " + device.name());
    }
    this.blocks = blocks > 0 ? blocks : hasRoomForAll(device) ? SkinnySplit.MAX_BLOCKS : 0;
    this.bulk = bulk && device.copiesInBulk();
    this.overlap = overlap && device.overlaps();
    rows = SkinnyOp.rowsOfInstance(maxRows);
    try (DeviceScope scope = new DeviceScope(device)) {
      partials = scope.allocate("partial sums of products", DType.F32, SkinnySplit.MAX_BLOCKS, 2, rows, SkinnySplit.TILE);
      // One per span for the tile that it shares with the next, one per span for its two blocks, and one for the whole grid.
      arrived = scope.allocate("arrivals at shared tiles", DType.I32, 2 * SkinnySplit.MAX_BLOCKS + 1);
      stream.fill(arrived, 0);
      owned = scope.keep();
    }
  }

  /** Whether a workspace copies in bulk where nothing else is said and the device can: unless {@code -Ddvl.ring=false}. */
  public static boolean bulkByDefault() {
    return Boolean.parseBoolean(System.getProperty(BULK, "true"));
  }

  /** Whether all blocks of a product run at once; then kernels do without the code for fewer ({@code kShares} of skinny.cuh). */
  private static boolean hasRoomForAll(Device device) {
    return device.computeCapability() >= 90 && device.computeCapability() < 110;
  }

  /** Bytes that a workspace takes, but for its counters. @param maxRows as the constructor's */
  public static long bytes(int maxRows) {
    return 2L * SkinnySplit.MAX_BLOCKS * SkinnyOp.rowsOfInstance(maxRows) * SkinnySplit.TILE * Float.BYTES;
  }

  /** Rows of x in one launch that the memory is enough for. */
  int rows() {
    return rows;
  }

  boolean overlap() {
    return overlap;
  }

  /** Most blocks of a launch; 0: as many as run at once. */
  int blocks() {
    return blocks;
  }

  /** Whether weights come by bulk copies where that is possible. */
  public boolean bulk() {
    return bulk;
  }

  DeviceBuffer partials() {
    return partials;
  }

  DeviceBuffer arrived() {
    return arrived;
  }

  @Override
  public void close() {
    owned.close();
  }
}
