// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.loader;

import java.awt.image.Raster;

/** JPEG's luma and chroma as RGB, in the fixed-point arithmetic of libjpeg. */
final class YccPixels {
  private static final int HALF = 1 << 15;

  private YccPixels() {}

  /** @param raster three bands as stored */
  static RgbImage toRgb(Raster raster) {
    int width = raster.getWidth();
    byte[] rgb = new byte[Math.multiplyExact(3, Math.multiplyExact(width, raster.getHeight()))];
    int[] row = new int[3 * width];
    for (int y = 0, o = 0; y < raster.getHeight(); y++) {
      raster.getPixels(0, y, width, 1, row);
      toRgb(row, 3);
      for (int value : row) {
        rgb[o++] = (byte) value;
      }
    }
    return new RgbImage(width, raster.getHeight(), rgb);
  }

  /** Converts the first three of each {@code stride} values, in place. */
  static void toRgb(int[] row, int stride) {
    for (int x = 0; x < row.length; x += stride) {
      int luma = row[x];
      int blue = row[x + 1] - 128;
      int red = row[x + 2] - 128;
      row[x] = Math.clamp(luma + (fixed(1.40200) * red + HALF >> 16), 0, 255);
      row[x + 1] = Math.clamp(luma + (-fixed(0.34414) * blue - fixed(0.71414) * red + HALF >> 16), 0, 255);
      row[x + 2] = Math.clamp(luma + (fixed(1.77200) * blue + HALF >> 16), 0, 255);
    }
  }

  private static int fixed(double value) {
    return (int) (value * (1 << 16) + 0.5);
  }
}
