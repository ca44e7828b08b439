// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.conformance;

import java.util.function.DoubleBinaryOperator;
import java.util.function.IntUnaryOperator;

/** What the instructions do, written from the PTX ISA's text and not from the emulated device. */
final class Models {
  private static final int QUIET_NAN = 0x7fffffff; // what float arithmetic on a GPU answers

  /** One half of a pair as a float. */
  interface Half {
    float of(int pair, int which);
  }

  private Models() {}

  /** mma.m16n8k16: A row-major 16 x 16, B 16 x 8, C and D 16 x 8. Lane = 4 * group + position in the group. */
  static int[] mma(int[] in, int blocks, Half half) {
    int[] out = new int[blocks * 32 * 4];
    for (int block = 0; block < blocks; block++) {
      float[][] a = new float[16][16];
      float[][] b = new float[16][8];
      float[][] d = new float[16][8];
      for (int lane = 0; lane < 32; lane++) {
        int at = (block * 32 + lane) * 10;
        int group = lane >> 2;
        int pair = (lane & 3) * 2;
        for (int i = 0; i < 8; i++) { // element i of A: row + 8 for i in 2, 3, 6, 7; column + 8 for i >= 4
          a[group + (i / 2 % 2) * 8][pair + i % 2 + (i >= 4 ? 8 : 0)] = half.of(in[at + i / 2], i % 2);
        }
        for (int i = 0; i < 4; i++) {
          b[pair + i % 2 + (i >= 2 ? 8 : 0)][group] = half.of(in[at + 4 + i / 2], i % 2);
          d[group + (i >= 2 ? 8 : 0)][pair + i % 2] = Float.intBitsToFloat(in[at + 6 + i]);
        }
      }
      for (int row = 0; row < 16; row++) {
        for (int column = 0; column < 8; column++) {
          for (int k = 0; k < 16; k++) {
            d[row][column] += a[row][k] * b[k][column];
          }
        }
      }
      for (int i = 0; i < 128; i++) {
        int group = i / 4 >> 2;
        int column = (i / 4 & 3) * 2 + i % 2;
        out[block * 128 + i] = Float.floatToRawIntBits(d[group + (i % 4 >= 2 ? 8 : 0)][column]);
      }
    }
    return out;
  }

  /** Tile t is rows 8 t to 8 t + 7; lane l gets the elements (l / 4, 2 (l % 4)) and the one right of it, or below it when transposed. */
  static int[] ldmatrix(int[] in) {
    int[] out = new int[256];
    for (int lane = 0; lane < 32; lane++) {
      for (int tile = 0; tile < 4; tile++) {
        int row = lane / 4;
        int column = 2 * (lane % 4);
        out[lane * 4 + tile] = element(in, tile, row, column) | element(in, tile, row, column + 1) << 16;
        out[128 + lane * 4 + tile] = element(in, tile, column, row) | element(in, tile, column + 1, row) << 16;
      }
    }
    return out;
  }

  private static int element(int[] words, int tile, int row, int column) {
    return words[(tile * 8 + row) * 4 + column / 2] >>> 16 * (column % 2) & 0xffff;
  }

  /** @param narrow bits of a float to 16 bits, {@code widen} the way back */
  static int[] rounded(int[] in, IntUnaryOperator narrow, IntUnaryOperator widen) {
    int[] out = new int[in.length * 4];
    for (int i = 0; i < in.length; i++) {
      int rounded = narrow.applyAsInt(in[i]);
      out[i * 4] = rounded;
      out[i * 4 + 1] = widen.applyAsInt(rounded);
      out[i * 4 + 2] = rounded | narrow.applyAsInt(in[i] ^ 0x80000000) << 16;
      out[i * 4 + 3] = widen.applyAsInt(rounded);
    }
    return out;
  }

  static int[] shuffle(int[] in) {
    int[] out = new int[in.length * 5];
    for (int i = 0; i < in.length; i++) {
      int first = i / 32 * 32;
      int lane = i % 32;
      out[i * 5] = in[first + 5];
      out[i * 5 + 1] = in[first + (lane ^ 9)];
      out[i * 5 + 2] = in[first + (lane < 3 ? lane : lane - 3)];
      out[i * 5 + 3] = in[first + (lane > 24 ? lane : lane + 7)];
      for (int l = 0; l < 32; l++) {
        out[i * 5 + 4] |= (in[first + l] & 1) << l;
      }
    }
    return out;
  }

  /** Butterflies with offsets width / 2, ..., 1. */
  static int[] reduce(int[] in) {
    int[] out = new int[in.length * 6];
    DoubleBinaryOperator sum = (a, b) -> (float) a + (float) b; // of two floats: exact in double, rounded once by the cast below
    for (int first = 0; first < in.length; first += 32) {
      float[][] results = {butterfly(in, first, 32, sum), butterfly(in, first, 8, sum), butterfly(in, first, 2, sum),
          butterfly(in, first, 32, Math::max), butterfly(in, first, 32, Math::min), butterfly(in, first, 4, Math::max)};
      for (int i = 0; i < 32 * 6; i++) {
        out[first * 6 + i] = Float.floatToRawIntBits(results[i % 6][i / 6]);
      }
    }
    return out;
  }

  private static float[] butterfly(int[] in, int first, int width, DoubleBinaryOperator operation) {
    float[] values = new float[32];
    for (int lane = 0; lane < 32; lane++) {
      values[lane] = Float.intBitsToFloat(in[first + lane]);
    }
    for (int offset = width / 2; offset > 0; offset /= 2) {
      float[] next = new float[32];
      for (int lane = 0; lane < 32; lane++) {
        next[lane] = (float) operation.applyAsDouble(values[lane], values[lane ^ offset]);
      }
      values = next;
    }
    return values;
  }

  static int[] arithmetic(int[] in) {
    int[] out = new int[in.length / 2 * 5];
    for (int i = 0; i < in.length / 2; i++) {
      float a = Float.intBitsToFloat(in[i * 2]);
      float b = Float.intBitsToFloat(in[i * 2 + 1]);
      out[i * 5] = bits(a / b);
      out[i * 5 + 1] = bits(a * b);
      out[i * 5 + 2] = bits(Math.fma(a, b, 1f));
      out[i * 5 + 3] = bits(Float.isNaN(a) ? b : Float.isNaN(b) ? a : Math.max(a, b));
      out[i * 5 + 4] = bits(Float.isNaN(a) ? b : Float.isNaN(b) ? a : Math.min(a, b));
    }
    return out;
  }

  private static int bits(float value) {
    return Float.isNaN(value) ? QUIET_NAN : Float.floatToRawIntBits(value);
  }

  static int[] functions(int[] in) {
    int[] out = new int[in.length * 5];
    for (int i = 0; i < in.length; i++) {
      double x = Float.intBitsToFloat(in[i]);
      out[i * 5] = Float.floatToRawIntBits((float) Math.pow(2, x));
      out[i * 5 + 1] = Float.floatToRawIntBits((float) Math.exp(x));
      out[i * 5 + 2] = Float.floatToRawIntBits((float) (1 / Math.sqrt(Math.abs(x))));
      out[i * 5 + 3] = Float.floatToRawIntBits((float) Math.tanh(x));
      out[i * 5 + 4] = Float.floatToRawIntBits((float) erf(x));
    }
    return out;
  }

  /** By the series for small x and the continued fraction of the complement beyond. */
  private static double erf(double x) {
    double a = Math.abs(x);
    if (Double.isNaN(x) || a > 6) {
      return Double.isNaN(x) ? x : Math.signum(x);
    }
    if (a < 2.5) {
      double term = x;
      double sum = x;
      for (int n = 1; n < 100; n++) {
        term *= -x * x / n;
        sum += term / (2 * n + 1);
      }
      return 2 / Math.sqrt(Math.PI) * sum;
    }
    double fraction = 0;
    for (int n = 80; n > 0; n--) {
      fraction = n / 2.0 / (a + fraction);
    }
    return Math.signum(x) * (1 - Math.exp(-a * a) / Math.sqrt(Math.PI) / (a + fraction));
  }
}
