// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.conformance;

import java.util.Random;

/** 16- and 32-bit patterns. */
final class Bits {
  // 0, 1, inf, NaN
  private static final int[] SPECIAL = {0, 0x80000000, 0x3f800000, 0x7f800000, 0xff800000, 0x7fc00000, 0xffc00001, 0x7f800001,
      0x7f7fffff, 0xff7fffff, 0x7f7f0000, 0x7f7f8000, 0x7f7f7fff, // largest; about to round to infinity
      1, 0x80000001, 0x00007fff, 0x00008000, 0x00008001, 0x00018000, 0x007fffff, 0x00800000, 0x0080ffff, // denormals
      0x3f808000, 0x3f818000, 0x3f807fff, 0x3f808001, 0xbf808000, 0xbf818000}; // ties to even, and beside them

  private Bits() {}

  /** Special floats first, then any bits. */
  static int interesting(Random random, int i) {
    int any = random.nextInt();
    return i < SPECIAL.length ? SPECIAL[i] : any;
  }

  /** Two bf16, which the values must be exactly, low first. */
  static int pack(float low, float high) {
    return Float.floatToRawIntBits(low) >>> 16 | Float.floatToRawIntBits(high) & 0xffff0000;
  }

  /** One half of a pair as a float. */
  static float half(int pair, int which) {
    return Float.intBitsToFloat(which == 0 ? pair << 16 : pair & 0xffff0000);
  }

  /** cvt.rn.bf16.f32: nearest, ties to even, NaN to 0x7fff. Through the exact distance to the two neighbours. */
  static int bf16(int bits) {
    float value = Float.intBitsToFloat(bits);
    if (Float.isNaN(value)) {
      return 0x7fff;
    }
    int below = bits >>> 16; // towards zero
    if (Float.isInfinite(value) || (bits & 0xffff) == 0) {
      return below;
    }
    double magnitude = Math.abs((double) value);
    double low = magnitudeOf(below);
    double high = magnitudeOf(below + 1);
    boolean up = high - magnitude == magnitude - low ? (below & 1) == 1 : high - magnitude < magnitude - low;
    return up ? below + 1 : below;
  }

  /** The magnitude of a bf16, with the first one past the largest as 2^128 instead of infinity. */
  private static double magnitudeOf(int bf16) {
    return (bf16 & 0x7fff) == 0x7f80 ? 0x1p128 : Math.abs((double) Float.intBitsToFloat(bf16 << 16));
  }
}
