// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.loader;

/**
 * 8-bit RGB pixels, rows from the top, three bytes a pixel without padding. The array is not copied.
 *
 * @param width in pixels, at least 1
 * @param height in pixels, at least 1
 * @param rgb 3 * width * height bytes
 */
public record RgbImage(int width, int height, byte[] rgb) {
  public RgbImage {
    if (width < 1 || height < 1 || rgb.length != 3L * width * height) {
      throw new IllegalArgumentException(width + " x " + height + " pixels do not take " + rgb.length + " bytes");
    }
  }
}
