// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.loader.webp;

import java.util.Arrays;

/** One component of a frame in whole macroblocks, inside the border that prediction reads: 127 above, 129 on the left. */
final class Plane {
  /** Columns on the right that stand for the block above and to the right of a row's last one. */
  private static final int RIGHT = 4;

  final byte[] pixels;
  final int stride;

  /** A plane of so many pixels. */
  Plane(int width, int height) {
    stride = 1 + width + RIGHT;
    pixels = new byte[stride * (1 + height)];
    Arrays.fill(pixels, 0, stride, (byte) 127);
    for (int y = 1; y <= height; y++) {
      pixels[y * stride] = (byte) 129;
    }
  }

  /** Index of a pixel. */
  int at(int x, int y) {
    return (y + 1) * stride + 1 + x;
  }

  int get(int x, int y) {
    return pixels[at(x, y)] & 0xFF;
  }
}
