// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.loader;

/**
 * How many pixels a file can be the compressed form of, whatever its header claims: a few bytes must not make a program
 * reserve gigabytes. Formats that can spend no bits at all on a pixel have no such bound.
 */
final class PixelBound {
  /** The most that deflate makes of a byte. */
  private static final long DEFLATE = 1032;
  /** A block of 8 x 8 pixels takes a bit at least; twice that, to be generous. */
  private static final long JPEG_PIXELS = 2 * 8 * 64;
  /** A code of 12 bits stands for less than 4096 pixels. */
  private static final long GIF_PIXELS = 4096;
  private static final int PNG_HEADER = 26;

  private PixelBound() {}

  static long of(byte[] file) {
    if (JpegHeader.isJpeg(file)) {
      return JPEG_PIXELS * file.length;
    }
    if (GifScreen.isGif(file)) {
      return GIF_PIXELS * file.length;
    }
    return PngChunks.isPng(file) && file.length >= PNG_HEADER ? DEFLATE * file.length * 8 / pngBits(file) : Long.MAX_VALUE;
  }

  /** Bits of a pixel. */
  private static int pngBits(byte[] file) {
    int channels = switch (file[25]) {
      case 2 -> 3;
      case 4 -> 2;
      case 6 -> 4;
      default -> 1;
    };
    return Math.clamp(file[24], 1, 16) * channels;
  }
}
