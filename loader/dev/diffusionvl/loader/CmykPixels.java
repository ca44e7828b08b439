// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.loader;

import java.awt.image.Raster;

/** Four-colour pixels as RGB, without profiles, in the fixed-point arithmetic of Pillow and libjpeg. */
final class CmykPixels {
  private CmykPixels() {}

  /** @param bits of a sample, 8 or 16; of 16 the high byte counts */
  static RgbImage toRgb(Raster raster, int bits) {
    return convert(raster, row -> {
      for (int i = 0; i < row.length; i++) {
        row[i] >>= bits - 8;
      }
    });
  }

  /**
   * JPEG files store ink inverted, as Adobe's programs do.
   *
   * @param raster as stored: CMYK, or YCC and black
   */
  static RgbImage ofJpeg(Raster raster, JpegHeader.Colour colour) {
    return convert(raster, row -> {
      if (colour == JpegHeader.Colour.YCCK) {
        yccToInvertedRgb(row);
      }
      for (int i = 0; i < row.length; i++) {
        row[i] = 255 - row[i];
      }
    });
  }

  private interface RowFilter {
    void apply(int[] row);
  }

  /** @param toInk makes 8-bit ink of a row's samples, in place */
  private static RgbImage convert(Raster raster, RowFilter toInk) {
    int width = raster.getWidth();
    int bands = raster.getNumBands();
    byte[] rgb = new byte[Math.multiplyExact(3, Math.multiplyExact(width, raster.getHeight()))];
    int[] row = new int[bands * width];
    for (int y = 0, o = 0; y < raster.getHeight(); y++) {
      raster.getPixels(0, y, width, 1, row);
      toInk.apply(row);
      for (int x = 0; x < row.length; x += bands) {
        int light = 255 - row[x + 3];
        for (int c = 0; c < 3; c++) {
          rgb[o++] = (byte) (light - product(row[x + c], light));
        }
      }
    }
    return new RgbImage(width, raster.getHeight(), rgb);
  }

  /** Of two fractions in 255ths, rounded. */
  private static int product(int a, int b) {
    int t = a * b + 128;
    return (t >> 8) + t >> 8;
  }

  /** YCCK stands for the RGB that the inks leave of white, so the stored ink is the inverse of that RGB. */
  private static void yccToInvertedRgb(int[] row) {
    YccPixels.toRgb(row, 4);
    for (int x = 0; x < row.length; x += 4) {
      for (int c = 0; c < 3; c++) {
        row[x + c] = 255 - row[x + c];
      }
    }
  }
}
