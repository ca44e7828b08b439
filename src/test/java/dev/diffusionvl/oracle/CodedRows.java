// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.oracle;

/**
 * Rows of keys or values as E4M3 codes with a scale each, from the definitions and by search: a number is sign · mantissa · 2^exponent,
 * the scale is the least power of two with which the row's largest is within 448, and a code is that of the nearest number.
 *
 * @param codes [rows, dim], in the cache's order: of each 16, column i at 2 i, column 8 + i at 2 i + 1
 * @param scales [rows]
 */
public record CodedRows(byte[] codes, float[] scales, int dim) {
  private static final double[] NUMBERS = new double[127]; // by code, ascending

  static {
    for (int code = 0; code < NUMBERS.length; code++) {
      int exponent = code >> 3;
      NUMBERS[code] = exponent == 0 ? Math.scalb(code & 7, -9) : Math.scalb(8 + (code & 7), exponent - 10);
    }
  }

  public CodedRows(float[] rows, int dim) {
    this(new byte[rows.length], new float[rows.length / dim], dim);
    for (int row = 0; row < scales.length; row++) {
      double largest = 0;
      boolean finite = true;
      for (int d = 0; d < dim; d++) {
        finite &= Float.isFinite(rows[row * dim + d]);
        largest = Math.max(largest, Math.abs(rows[row * dim + d]));
      }
      int exponent = -126;
      while (finite && Math.scalb(448.0, exponent) < largest) {
        exponent++;
      }
      scales[row] = finite ? Math.scalb(1f, exponent) : Float.NaN;
      for (int d = 0; finite && d < dim; d++) {
        codes[row * dim + place(d)] = code(Math.scalb((double) rows[row * dim + d], -exponent));
      }
    }
  }

  /** Where a column is in its row. */
  public static int place(int column) {
    return column / 16 * 16 + column % 8 * 2 + column % 16 / 8;
  }

  /** Nearest number, ties to the even code. */
  private static byte code(double value) {
    double magnitude = Math.abs(value);
    int best = 0;
    for (int code = 1; code < NUMBERS.length; code++) {
      double difference = Math.abs(NUMBERS[code] - magnitude) - Math.abs(NUMBERS[best] - magnitude);
      if (difference < 0 || difference == 0 && code % 2 == 0) {
        best = code;
      }
    }
    return (byte) (Math.copySign(1, value) < 0 ? best | 0x80 : best);
  }

  /** The numbers that the codes stand for. */
  public void decode(float[] rows) {
    for (int i = 0; i < rows.length; i++) {
      int code = codes[i / dim * dim + place(i % dim)];
      rows[i] = (float) ((code < 0 ? -1 : 1) * NUMBERS[code & 0x7f] * scales[i / dim]);
    }
  }
}
