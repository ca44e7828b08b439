// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.loader;

import java.awt.image.WritableRaster;

/**
 * Interpolates JPEG components that have half the image's rows, as libjpeg-turbo does: each row is three quarters of the stored row that
 * covers it and one quarter of that row's nearer neighbour.
 */
final class HalfRows {
  private HalfRows() {}

  /** @param raster in which each stored row of the band stands twice; changed in place */
  static void interpolate(WritableRaster raster, int band) {
    int[] before = row(raster, band, 0);
    int[] row = before;
    for (int y = 0; y < raster.getHeight(); y += 2) {
      int[] after = y + 2 < raster.getHeight() ? row(raster, band, y + 2) : row;
      blend(raster, band, y, row, before, 1);
      if (y + 1 < raster.getHeight()) {
        blend(raster, band, y + 1, row, after, 2);
      }
      before = row;
      row = after;
    }
  }

  private static int[] row(WritableRaster raster, int band, int y) {
    return raster.getSamples(0, y, raster.getWidth(), 1, band, (int[]) null);
  }

  /** @param rounding 1 for upper rows and 2 for lower ones, so that halves do not all go one way */
  private static void blend(WritableRaster raster, int band, int y, int[] near, int[] far, int rounding) {
    int[] out = new int[near.length];
    for (int x = 0; x < out.length; x++) {
      out[x] = 3 * near[x] + far[x] + rounding >> 2;
    }
    raster.setSamples(0, y, out.length, 1, band, out);
  }
}
