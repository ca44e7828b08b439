// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.loader;

/**
 * Where a GIF's first frame lies on its screen, which is what the reference takes for the image: the part outside the
 * frame has the transparent colour, or the first one.
 *
 * @param width of the screen
 * @param height of the screen
 * @param left of the frame
 * @param top of the frame
 * @param background palette index of what the frame leaves open
 */
record GifScreen(int width, int height, int left, int top, int background) {
  private static final int EXTENSION = 0x21;
  private static final int GRAPHIC_CONTROL = 0xF9;
  private static final int IMAGE = 0x2C;

  static boolean isGif(byte[] file) {
    return file.length >= 13 && file[0] == 'G' && file[1] == 'I' && file[2] == 'F';
  }

  /** @throws IllegalArgumentException if the file ends before the first frame */
  static GifScreen of(byte[] file) {
    int flags = at(file, 10);
    int at = 13 + paletteBytes(flags);
    int background = 0;
    while (at(file, at) == EXTENSION) {
      if (at(file, at + 1) == GRAPHIC_CONTROL && (at(file, at + 3) & 1) != 0) {
        background = at(file, at + 6);
      }
      at += 2;
      while (at(file, at) != 0) {
        at += 1 + at(file, at);
      }
      at++;
    }
    if (at(file, at) != IMAGE) {
      throw new IllegalArgumentException("no frame");
    }
    return new GifScreen(pair(file, 6), pair(file, 8), pair(file, at + 1), pair(file, at + 3), background);
  }

  /** The frame on its screen; what reaches beyond the screen enlarges it. */
  RgbImage place(RgbImage frame, int backgroundRgb) {
    int fullWidth = Math.max(width, left + frame.width());
    int fullHeight = Math.max(height, top + frame.height());
    if (fullWidth == frame.width() && fullHeight == frame.height()) {
      return frame;
    }
    byte[] rgb = new byte[Math.multiplyExact(3, Math.multiplyExact(fullWidth, fullHeight))];
    for (int i = 0; i < rgb.length; i += 3) {
      rgb[i] = (byte) (backgroundRgb >> 16);
      rgb[i + 1] = (byte) (backgroundRgb >> 8);
      rgb[i + 2] = (byte) backgroundRgb;
    }
    for (int y = 0; y < frame.height(); y++) {
      System.arraycopy(frame.rgb(), 3 * y * frame.width(), rgb, 3 * ((y + top) * fullWidth + left), 3 * frame.width());
    }
    return new RgbImage(fullWidth, fullHeight, rgb);
  }

  private static int paletteBytes(int flags) {
    return (flags & 0x80) == 0 ? 0 : 3 << (flags & 7) + 1;
  }

  private static int pair(byte[] file, int index) {
    return at(file, index) | at(file, index + 1) << 8;
  }

  private static int at(byte[] file, int index) {
    if (index >= file.length) {
      throw new IllegalArgumentException("ends before its first frame");
    }
    return file[index] & 0xFF;
  }
}
