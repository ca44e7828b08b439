// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.loader.webp;

/** What the encoder of the lossless format did to the pixels, and how it is undone. Pixels are ARGB. */
sealed interface LosslessTransform {
  /** Width of the image that is stored. */
  int storedWidth();

  /** The pixels before the transform; may be the same array. */
  int[] invert(int[] pixels, int height);

  /** Green was subtracted from red and blue. */
  record SubtractGreen(int storedWidth) implements LosslessTransform {
    @Override
    public int[] invert(int[] pixels, int height) {
      for (int i = 0; i < pixels.length; i++) {
        int green = pixels[i] >> 8 & 0xFF;
        pixels[i] = pixels[i] & 0xFF00FF00 | (pixels[i] & 0x00FF00FF) + (green << 16 | green) & 0x00FF00FF;
      }
      return pixels;
    }
  }

  /** Multiples of green were subtracted from red, of green and red from blue; the factors are those of blocks. */
  record Colour(int storedWidth, int bits, int[] factors) implements LosslessTransform {
    @Override
    public int[] invert(int[] pixels, int height) {
      int across = storedWidth + (1 << bits) - 1 >> bits;
      for (int i = 0; i < pixels.length; i++) {
        int factor = factors[(i / storedWidth >> bits) * across + (i % storedWidth >> bits)];
        int green = pixels[i] >> 8;
        int red = (pixels[i] >> 16) + product(factor, green) & 0xFF;
        int blue = pixels[i] + product(factor >> 8, green) + product(factor >> 16, red) & 0xFF;
        pixels[i] = pixels[i] & 0xFF00FF00 | red << 16 | blue;
      }
      return pixels;
    }

    private static int product(int factor, int colour) {
      return (byte) factor * (byte) colour >> 5;
    }
  }

  /** Pixels are indexes into a table, several to a stored pixel where the table is small. */
  record Palette(int width, int[] colours) implements LosslessTransform {
    public Palette {
      for (int i = 1; i < colours.length; i++) {
        colours[i] = add(colours[i], colours[i - 1]);
      }
    }

    private int shift() {
      return colours.length > 16 ? 0 : colours.length > 4 ? 1 : colours.length > 2 ? 2 : 3;
    }

    @Override
    public int storedWidth() {
      return width + (1 << shift()) - 1 >> shift();
    }

    @Override
    public int[] invert(int[] stored, int height) {
      int shift = shift();
      int bits = 8 >> shift;
      int[] pixels = shift == 0 ? stored : new int[Math.multiplyExact(width, height)];
      for (int y = 0, o = 0; y < height; y++) {
        int row = y * storedWidth();
        for (int x = 0; x < width; x++, o++) {
          int index = stored[row + (x >> shift)] >> 8 + (x & (1 << shift) - 1) * bits & (1 << bits) - 1;
          pixels[o] = index < colours.length ? colours[index] : 0;
        }
      }
      return pixels;
    }
  }

  /** Each pixel was predicted from its neighbours, by rules that are those of blocks. */
  record Predictor(int storedWidth, int bits, int[] rules) implements LosslessTransform {
    private static final int BLACK = 0xFF000000;

    @Override
    public int[] invert(int[] p, int height) {
      int width = storedWidth;
      int across = width + (1 << bits) - 1 >> bits;
      p[0] = add(p[0], BLACK);
      for (int x = 1; x < width; x++) {
        p[x] = add(p[x], p[x - 1]);
      }
      for (int y = 1, i = width; y < height; y++) {
        p[i] = add(p[i], p[i - width]);
        i++;
        for (int x = 1; x < width; x++, i++) {
          int rule = rules[(y >> bits) * across + (x >> bits)] >> 8 & 15;
          p[i] = add(p[i], predict(rule, p[i - 1], p[i - width], p[i - width + 1], p[i - width - 1]));
        }
      }
      return p;
    }

    /** @param right the pixel above and to the right; behind a row's end that is the first one of the pixel's own row */
    private static int predict(int rule, int left, int top, int right, int corner) {
      return switch (rule) {
        case 1 -> left;
        case 2 -> top;
        case 3 -> right;
        case 4 -> corner;
        case 5 -> average(average(left, right), top);
        case 6 -> average(left, corner);
        case 7 -> average(left, top);
        case 8 -> average(corner, top);
        case 9 -> average(top, right);
        case 10 -> average(average(left, corner), average(top, right));
        case 11 -> distance(top, corner) < distance(left, corner) ? left : top;
        case 12 -> combine(left, top, corner, false);
        case 13 -> combine(average(left, top), average(left, top), corner, true);
        default -> BLACK;
      };
    }

    private static int average(int a, int b) {
      return (((a ^ b) & 0xFEFEFEFE) >>> 1) + (a & b);
    }

    private static int distance(int a, int b) {
      int sum = 0;
      for (int shift = 0; shift < 32; shift += 8) {
        sum += Math.abs((a >>> shift & 0xFF) - (b >>> shift & 0xFF));
      }
      return sum;
    }

    /** By component a + b − c, or a + (b − c) / 2, within a byte. */
    private static int combine(int a, int b, int c, boolean half) {
      int result = 0;
      for (int shift = 0; shift < 32; shift += 8) {
        int difference = (b >>> shift & 0xFF) - (c >>> shift & 0xFF);
        int value = (a >>> shift & 0xFF) + (half ? difference / 2 : difference);
        result |= Math.clamp(value, 0, 255) << shift;
      }
      return result;
    }
  }

  /** Sum by component, modulo 256. */
  private static int add(int a, int b) {
    return (a & 0xFF00FF00) + (b & 0xFF00FF00) & 0xFF00FF00 | (a & 0x00FF00FF) + (b & 0x00FF00FF) & 0x00FF00FF;
  }
}
