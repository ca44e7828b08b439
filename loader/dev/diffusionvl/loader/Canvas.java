// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.loader;

/** A canvas of one colour with an image in its middle. */
record Canvas(byte red, byte green, byte blue) {
  static final Canvas BLACK = new Canvas((byte) 0, (byte) 0, (byte) 0);

  /** Of the colour whose normalised values are near 0, as the reference computes it. */
  static Canvas ofMean(float[] mean) {
    return new Canvas(colour(mean[0]), colour(mean[1]), colour(mean[2]));
  }

  private static byte colour(float mean) {
    return (byte) (int) (mean * 255);
  }

  /** @throws BadInputException if an image is so long and narrow that a square around it would have too many pixels */
  static void checkSquare(RgbImage image, String name) {
    int longer = Math.max(image.width(), image.height());
    if ((long) longer * longer > ImageFiles.MAX_PIXELS) {
      throw image.sizeError(name, "too long and narrow: as a square it would have more than " + ImageFiles.MAX_PIXELS + " pixels");
    }
  }

  /** The image in the middle of a square as long as its longer side. */
  RgbImage square(RgbImage image) {
    int longer = Math.max(image.width(), image.height());
    return around(image, longer, longer);
  }

  /** The image in the middle of a canvas of the given size, which is at least its own. */
  RgbImage around(RgbImage image, int width, int height) {
    if (image.width() == width && image.height() == height) {
      return image;
    }
    byte[] rgb = new byte[3 * width * height];
    if (!equals(BLACK)) {
      for (int i = 0; i < rgb.length; i += 3) {
        rgb[i] = red;
        rgb[i + 1] = green;
        rgb[i + 2] = blue;
      }
    }
    int top = (height - image.height()) / 2;
    int left = (width - image.width()) / 2;
    int row = 3 * image.width();
    for (int y = 0; y < image.height(); y++) {
      System.arraycopy(image.rgb(), row * y, rgb, 3 * ((top + y) * width + left), row);
    }
    return new RgbImage(width, height, rgb);
  }
}
