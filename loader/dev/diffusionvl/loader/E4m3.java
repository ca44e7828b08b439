// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.loader;

/** Numbers of 8 bits: a sign, 4 bits of exponent, 3 of mantissa; 0x7f and 0xff are NaN, there is no infinity. */
final class E4m3 {
  /** The largest number. */
  static final float MAX = 448;

  private static final int LOWEST_EXPONENT = -6; // below it numbers are subnormal
  private static final int LARGEST_CODE = 0x7e;

  private E4m3() {}

  static float decode(byte code) {
    return Fp8Matrix.E4M3[code & 0xff];
  }

  /** The code of the nearest number, of two equally near ones the even; beyond the largest the largest. NaN is no value. */
  static byte encode(float value) {
    float magnitude = Math.min(Math.abs(value), MAX);
    int exponent = Math.max(Math.getExponent(magnitude), LOWEST_EXPONENT);
    int eighths = (int) Math.rint(Math.scalb(magnitude, 3 - exponent)); // 16 of them are the next exponent's 8
    int code = Math.min(eighths + 8 * (exponent - LOWEST_EXPONENT), LARGEST_CODE);
    return (byte) (value < 0 ? code | 0x80 : code);
  }
}
