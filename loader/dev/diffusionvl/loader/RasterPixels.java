// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.loader;

import java.awt.color.ColorSpace;
import java.awt.image.BufferedImage;
import java.awt.image.ColorModel;
import java.awt.image.IndexColorModel;
import java.awt.image.Raster;

/**
 * The samples of a decoded image as RGB bytes. Taken from the raster, since BufferedImage.getRGB would pass grey
 * through a colour space with another gamma and change its values.
 */
final class RasterPixels {
  private RasterPixels() {}

  static RgbImage toRgb(BufferedImage image) {
    Raster raster = image.getRaster();
    byte[] rgb = new byte[Math.multiplyExact(3, Math.multiplyExact(image.getWidth(), image.getHeight()))];
    if (image.getColorModel() instanceof IndexColorModel palette) {
      copyPalette(raster, palette, rgb);
    } else if (image.getColorModel().getColorSpace().getType() == ColorSpace.TYPE_CMYK && raster.getNumBands() >= 4) {
      return CmykPixels.toRgb(raster, image.getColorModel().getComponentSize(0));
    } else if (needsConversion(image.getColorModel())) {
      convert(image, rgb);
    } else {
      copySamples(raster, image.getColorModel(), rgb);
    }
    return new RgbImage(image.getWidth(), image.getHeight(), rgb);
  }

  private static void copyPalette(Raster raster, IndexColorModel palette, byte[] rgb) {
    int[] row = new int[raster.getWidth()];
    for (int y = 0, o = 0; y < raster.getHeight(); y++) {
      raster.getSamples(0, y, row.length, 1, 0, row);
      for (int index : row) {
        // beyond the palette's end is black
        int colour = index < palette.getMapSize() ? palette.getRGB(index) : 0;
        rgb[o++] = (byte) (colour >> 16);
        rgb[o++] = (byte) (colour >> 8);
        rgb[o++] = (byte) colour;
      }
    }
  }

  /**
   * Samples that are not RGB or grey as they stand: other colour spaces, and colours already multiplied by their
   * alpha.
   */
  private static boolean needsConversion(ColorModel model) {
    int type = model.getColorSpace().getType();
    boolean otherSpace = type != ColorSpace.TYPE_RGB && type != ColorSpace.TYPE_GRAY;
    return otherSpace || model.hasAlpha() && model.isAlphaPremultiplied();
  }

  private static void convert(BufferedImage image, byte[] rgb) {
    int[] row = new int[image.getWidth()];
    for (int y = 0, o = 0; y < image.getHeight(); y++) {
      image.getRGB(0, y, row.length, 1, row, 0, row.length);
      for (int colour : row) {
        rgb[o++] = (byte) (colour >> 16);
        rgb[o++] = (byte) (colour >> 8);
        rgb[o++] = (byte) colour;
      }
    }
  }

  /** One or two bands are grey (with alpha), three or four are RGB (with alpha). */
  private static void copySamples(Raster raster, ColorModel model, byte[] rgb) {
    boolean grey = raster.getNumBands() < 3;
    int[] row = new int[raster.getWidth()];
    for (int c = 0; c < 3; c++) {
      int band = grey ? 0 : c;
      int bits = model.getComponentSize(band);
      for (int y = 0; y < raster.getHeight(); y++) {
        raster.getSamples(0, y, row.length, 1, band, row);
        int o = 3 * y * row.length + c;
        for (int sample : row) {
          rgb[o] = (byte) toByte(sample, bits);
          o += 3;
        }
      }
    }
  }

  private static int toByte(int sample, int bits) {
    if (bits >= 8) {
      return sample >> bits - 8;
    }
    return sample * 255 / ((1 << bits) - 1);
  }
}
