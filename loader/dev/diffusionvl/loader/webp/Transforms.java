// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.loader.webp;

/** The inverse transforms of VP8 (RFC 6386, 14). */
final class Transforms {
  private Transforms() {}

  /** Of the second-order luma coefficients; each result is the DC coefficient of a subblock. */
  static void walshHadamard(int[] in, int[] out) {
    int[] t = new int[16];
    for (int i = 0; i < 4; i++) {
      int a0 = in[i] + in[12 + i];
      int a1 = in[4 + i] + in[8 + i];
      int a2 = in[4 + i] - in[8 + i];
      int a3 = in[i] - in[12 + i];
      t[i] = a0 + a1;
      t[8 + i] = a0 - a1;
      t[4 + i] = a3 + a2;
      t[12 + i] = a3 - a2;
    }
    for (int i = 0; i < 16; i += 4) {
      int dc = t[i] + 3;
      int a0 = dc + t[i + 3];
      int a1 = t[i + 1] + t[i + 2];
      int a2 = t[i + 1] - t[i + 2];
      int a3 = dc - t[i + 3];
      out[16 * i] = a0 + a1 >> 3;
      out[16 * (i + 1)] = a3 + a2 >> 3;
      out[16 * (i + 2)] = a0 - a1 >> 3;
      out[16 * (i + 3)] = a3 - a2 >> 3;
    }
  }

  /** Adds the residue of a 4 x 4 subblock, whose coefficients stand at {@code in[from]}, to its prediction. */
  static void addCosine(int[] in, int from, byte[] pixels, int at, int stride) {
    int[] t = new int[16];
    boolean empty = true;
    for (int x = 0; x < 4; x++) {
      int c0 = in[from + x];
      int c1 = in[from + 4 + x];
      int c2 = in[from + 8 + x];
      int c3 = in[from + 12 + x];
      empty &= (c0 | c1 | c2 | c3) == 0;
      int a = c0 + c2;
      int b = c0 - c2;
      int c = sine(c1) - cosine(c3);
      int d = cosine(c1) + sine(c3);
      t[4 * x] = a + d;
      t[4 * x + 1] = b + c;
      t[4 * x + 2] = b - c;
      t[4 * x + 3] = a - d;
    }
    if (empty) {
      return;
    }
    for (int y = 0; y < 4; y++) {
      int dc = t[y] + 4;
      int a = dc + t[8 + y];
      int b = dc - t[8 + y];
      int c = sine(t[4 + y]) - cosine(t[12 + y]);
      int d = cosine(t[4 + y]) + sine(t[12 + y]);
      int o = at + y * stride;
      pixels[o] = add(pixels[o], a + d);
      pixels[o + 1] = add(pixels[o + 1], b + c);
      pixels[o + 2] = add(pixels[o + 2], b - c);
      pixels[o + 3] = add(pixels[o + 3], a - d);
    }
  }

  private static byte add(byte pixel, int residue) {
    return (byte) Math.clamp((pixel & 0xFF) + (residue >> 3), 0, 255);
  }

  /** Times √2 cos(π/8), in 16-bit fixed point. */
  private static int cosine(int value) {
    return (value * 20091 >> 16) + value;
  }

  /** Times √2 sin(π/8). */
  private static int sine(int value) {
    return value * 35468 >> 16;
  }
}
