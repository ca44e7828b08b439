// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.loader;

/**
 * A decoded image of 8-bit RGB.
 *
 * @param rgb rows from top to bottom, three bytes per pixel, length 3 * width * height
 * @param name how messages call it, its file for instance; null where it has none
 */
public record RgbImage(int width, int height, byte[] rgb, String name) {
  /**
   * @throws IllegalArgumentException if a side is not positive or the array's length does not match
   */
  public RgbImage {
    if (width <= 0 || height <= 0 || rgb.length != 3L * width * height) {
      throw new IllegalArgumentException(width + " x " + height + " pixels, " + rgb.length + " bytes");
    }
  }

  /** An image without a name. */
  public RgbImage(int width, int height, byte[] rgb) {
    this(width, height, rgb, null);
  }

  /** The same pixels under a name. */
  public RgbImage named(String newName) {
    return new RgbImage(width, height, rgb, newName);
  }

  /** Its name, else its number among a request's images, from 1. */
  public String nameOr(int number) {
    return name != null ? name : "image " + number;
  }

  /** {@code NAME: size: WIDTH x HEIGHT pixels; PROBLEM}. */
  BadInputException sizeError(String calledBy, String problem) {
    return new BadInputException(calledBy + ": size: " + width + " x " + height + " pixels; " + problem);
  }
}
