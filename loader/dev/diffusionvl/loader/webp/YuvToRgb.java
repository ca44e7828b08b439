// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.loader.webp;

/** From luma and chroma of half the resolution to RGB, in libwebp's fixed-point arithmetic and with its interpolation of chroma. */
final class YuvToRgb {
  private YuvToRgb() {}

  static byte[] convert(Plane luma, Plane u, Plane v, int width, int height) {
    byte[] rgb = new byte[Math.multiplyExact(3, Math.multiplyExact(width, height))];
    int right = (width + 1) / 2 - 1;
    int bottom = (height + 1) / 2 - 1;
    int o = 0;
    for (int y = 0; y < height; y++) {
      int near = y / 2;
      int far = Math.clamp(y % 2 == 0 ? near - 1 : near + 1, 0, bottom);
      for (int x = 0; x < width; x++, o += 3) {
        int c = x / 2;
        int side = Math.clamp(x % 2 == 0 ? c - 1 : c + 1, 0, right);
        write(rgb, o, luma.get(x, y), interpolate(u, c, near, side, far), interpolate(v, c, near, side, far));
      }
    }
    return rgb;
  }

  /** Nine parts of the nearest sample, three of the next ones across and along, one of that across the corner; rounded twice. */
  private static int interpolate(Plane plane, int x, int y, int side, int far) {
    int nearest = plane.get(x, y);
    int sum = nearest + 3 * (plane.get(side, y) + plane.get(x, far)) + plane.get(side, far) + 8;
    return (sum >> 3) + nearest >> 1;
  }

  private static void write(byte[] rgb, int at, int y, int u, int v) {
    int luma = y * 19077 >> 8;
    rgb[at] = clip(luma + (v * 26149 >> 8) - 14234);
    rgb[at + 1] = clip(luma - (u * 6419 >> 8) - (v * 13320 >> 8) + 8708);
    rgb[at + 2] = clip(luma + (u * 33050 >> 8) - 17685);
  }

  private static byte clip(int value) {
    return (byte) Math.clamp(value >> 6, 0, 255);
  }
}
