// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.loader;

import java.awt.image.Raster;

/** Four-colour pixels as RGB, without profiles, in the fixed-point arithmetic of Pillow and libjpeg. */
final class CmykPixels {
  private static final int HALF = 1 << 15;

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
    for (int x = 0; x < row.length; x += 4) {
      int luma = row[x];
      int blue = row[x + 1] - 128;
      int red = row[x + 2] - 128;
      row[x] = 255 - Math.clamp(luma + (fixed(1.40200) * red + HALF >> 16), 0, 255);
      row[x + 1] = 255 - Math.clamp(luma + (-fixed(0.34414) * blue - fixed(0.71414) * red + HALF >> 16), 0, 255);
      row[x + 2] = 255 - Math.clamp(luma + (fixed(1.77200) * blue + HALF >> 16), 0, 255);
    }
  }

  private static int fixed(double value) {
    return (int) (value * (1 << 16) + 0.5);
  }
}
