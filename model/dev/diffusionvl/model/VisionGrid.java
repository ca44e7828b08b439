// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.model;

import static java.lang.foreign.ValueLayout.JAVA_FLOAT;
import static java.lang.foreign.ValueLayout.JAVA_INT;

import dev.diffusionvl.loader.VisionConfig;
import dev.diffusionvl.runtime.DType;
import dev.diffusionvl.runtime.DeviceBuffer;
import dev.diffusionvl.runtime.DeviceScope;
import dev.diffusionvl.runtime.PinnedBuffer;
import dev.diffusionvl.runtime.Stream;
import dev.diffusionvl.runtime.op.Rope;
import dev.diffusionvl.runtime.op.Segments;
import java.lang.foreign.MemorySegment;

/** Where the patches of an image stand and what they see, on the device: tables of one grid of patches, kept until another one comes. */
final class VisionGrid implements AutoCloseable {
  private final VisionConfig config;
  private final Stream stream;
  private final int unit; // patches that are merged
  private final int pairs;
  private final DeviceScope owned;
  private final PinnedBuffer staging;
  private final DeviceBuffer windowOrder;
  private final DeviceBuffer rasterOrder;
  private final Rope rope;
  private final Segments windows;
  private final Segments whole;
  private int height; // 0: none is there
  private int width;
  private long staged; // bytes of the upload that is being queued

  VisionGrid(VisionConfig config, Stream stream, int maxPatches) {
    this.config = config;
    this.stream = stream;
    unit = config.spatialMergeSize() * config.spatialMergeSize();
    pairs = config.hiddenSize() / config.heads() / 2;
    int units = maxPatches / unit;
    try (DeviceScope scope = new DeviceScope(stream.device())) {
      windowOrder = scope.allocate("window order", DType.I32, maxPatches);
      rasterOrder = scope.allocate("raster order", DType.I32, units);
      rope = new Rope(scope.allocate("rotary cos", DType.F32, maxPatches, pairs),
          scope.allocate("rotary sin", DType.F32, maxPatches, pairs));
      windows = scope.own(new Segments(stream.device(), units));
      whole = scope.own(new Segments(stream.device(), 1));
      staging = scope.allocatePinned("tables of an image", windowOrder.bytes() + rasterOrder.bytes() + 2 * rope.cos().bytes()
          + Segments.bytes(units + 1));
      owned = scope.keep();
    }
  }

  /**
   * Queues the upload of the tables of such a grid, unless they are there. What an earlier call queued has run.
   *
   * @param gridHeight patches down
   * @param gridWidth patches across
   */
  void place(int gridHeight, int gridWidth) {
    if (gridHeight == height && gridWidth == width) {
      return;
    }
    height = 0; // should an upload fail
    WindowOrder order = WindowOrder.of(gridHeight, gridWidth, config.spatialMergeSize(),
        config.windowSize() / config.spatialMergeSize() / config.patchSize());
    staged = 0;
    upload(order.patchOrder(), windowOrder);
    upload(order.inverseUnitOrder(), rasterOrder);
    RopeTable.Turns turns = RopeTable.Turns.vision(order.y(), order.x(), 2 * pairs);
    upload(turns.cos(), rope.cos());
    upload(turns.sin(), rope.sin());
    upload(windows, order.windowBounds());
    upload(whole, 0, gridHeight * gridWidth);
    height = gridHeight;
    width = gridWidth;
  }

  private void upload(int[] values, DeviceBuffer target) {
    MemorySegment.copy(values, 0, staging.segment(), JAVA_INT, staged, values.length);
    upload(values.length, target);
  }

  private void upload(float[] values, DeviceBuffer target) {
    MemorySegment.copy(values, 0, staging.segment(), JAVA_FLOAT, staged, values.length);
    upload(values.length, target);
  }

  private void upload(int values, DeviceBuffer target) {
    stream.uploadAsync(staging, staged, target.slice(0, values));
    staged += 4L * values;
  }

  private void upload(Segments segments, int... bounds) {
    segments.clear();
    WindowOrder.addSegments(segments, bounds);
    segments.upload(stream, staging, staged);
    staged += Segments.bytes(segments.count());
  }

  /** I32 [patches]: which patch of the processor's order stands at each place of the window order. */
  DeviceBuffer windowOrder() {
    return windowOrder;
  }

  /** I32 [units]: for each unit in raster order its place in window order. */
  DeviceBuffer rasterOrder() {
    return rasterOrder;
  }

  /** Of the patches in window order. */
  Rope rope() {
    return rope;
  }

  /** Patches that see their window. */
  Segments windows() {
    return windows;
  }

  /** Patches that see the whole image. */
  Segments whole() {
    return whole;
  }

  @Override
  public void close() {
    owned.close();
  }
}
