// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.model;

import dev.diffusionvl.runtime.Device;
import dev.diffusionvl.runtime.DeviceScope;
import dev.diffusionvl.runtime.Stream;
import dev.diffusionvl.runtime.op.Segments;

/**
 * The order in which the vision tower sees an image's patches (docs/model.md, "Qwen vision tower"): merge units (unit x unit patches)
 * sorted by attention window, windows anchored at the top left, edge windows smaller.
 *
 * @param unit patches in a merge unit, 4
 * @param unitOrder unitOrder[k] = raster index of the k-th unit in window order
 * @param windowBounds patch rows at which windows begin, and the end
 * @param y patch row of each patch in window order
 * @param x patch column of each patch in window order
 */
public record WindowOrder(int unit, int[] unitOrder, int[] windowBounds, int[] y, int[] x) {

  /**
   * @param gridHeight patches down, a multiple of {@code merge}
   * @param gridWidth patches across, a multiple of {@code merge}
   * @param window units along a window's side
   */
  public static WindowOrder of(int gridHeight, int gridWidth, int merge, int window) {
    int unitRows = gridHeight / merge;
    int unitColumns = gridWidth / merge;
    int unit = merge * merge;
    int[] order = new int[unitRows * unitColumns];
    int windowsDown = (unitRows + window - 1) / window;
    int windowsAcross = (unitColumns + window - 1) / window;
    int[] bounds = new int[windowsDown * windowsAcross + 1];
    int n = 0;
    int w = 0;
    for (int wr = 0; wr < unitRows; wr += window) {
      for (int wc = 0; wc < unitColumns; wc += window) {
        for (int r = wr; r < Math.min(wr + window, unitRows); r++) {
          for (int c = wc; c < Math.min(wc + window, unitColumns); c++) {
            order[n++] = r * unitColumns + c;
          }
        }
        bounds[++w] = n * unit;
      }
    }
    int[] y = new int[n * unit];
    int[] x = new int[n * unit];
    for (int k = 0; k < n; k++) {
      for (int p = 0; p < unit; p++) {
        y[k * unit + p] = order[k] / unitColumns * merge + p / merge;
        x[k * unit + p] = order[k] % unitColumns * merge + p % merge;
      }
    }
    return new WindowOrder(unit, order, bounds, y, x);
  }

  /** Row of the processor's output that stands at each place in window order. */
  public int[] patchOrder() {
    int[] rows = new int[unitOrder.length * unit];
    for (int i = 0; i < rows.length; i++) {
      rows[i] = unitOrder[i / unit] * unit + i % unit;
    }
    return rows;
  }

  /** For each unit in raster order, its place in window order. */
  public int[] inverseUnitOrder() {
    int[] inverse = new int[unitOrder.length];
    for (int k = 0; k < unitOrder.length; k++) {
      inverse[unitOrder[k]] = k;
    }
    return inverse;
  }

  /** Adds one segment per range of rows, as those of {@link #segments}. */
  static void addSegments(Segments segments, int... bounds) {
    for (int i = 0; i + 1 < bounds.length; i++) {
      int begin = bounds[i];
      segments.add(begin, bounds[i + 1] - begin, begin, begin, 0, 0, Segments.Own.SELF);
    }
  }

  /**
   * Uploads one segment per range of rows. A row's slot is its own number, and a row sees the rows of its range.
   *
   * @param bounds rows at which the ranges begin, and the end
   */
  public static Segments segments(Device device, Stream stream, int... bounds) {
    try (DeviceScope scope = new DeviceScope(device)) {
      Segments segments = scope.own(new Segments(device, bounds.length - 1));
      addSegments(segments, bounds);
      segments.upload(stream);
      scope.keep(); // the segments are the caller's
      return segments;
    }
  }
}
