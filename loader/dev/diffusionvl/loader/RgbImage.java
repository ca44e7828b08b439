// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.loader;

/**
 * A decoded image of 8-bit RGB.
 *
 * @param rgb rows from top to bottom, three bytes a pixel, length 3 * width * height
 */
public record RgbImage(int width, int height, byte[] rgb) {
  /**
   * @throws IllegalArgumentException if a side is not positive or the array's length does not match
   */
  public RgbImage {
    if (width <= 0 || height <= 0 || rgb.length != 3L * width * height) {
      throw new IllegalArgumentException(width + " x " + height + " pixels, " + rgb.length + " bytes");
    }
  }
}
