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

  /** Two f16, which the values must be exactly, low first. */
  static int packF16(float low, float high) {
    return f16(Float.floatToRawIntBits(low)) | f16(Float.floatToRawIntBits(high)) << 16;
  }

  /** One half of a pair as a float. */
  static float halfF16(int pair, int which) {
    return Float.intBitsToFloat(fromF16(which == 0 ? pair & 0xffff : pair >>> 16));
  }

  /** Floats around f16's numbers: its smallest, its largest, ties; then any of its range and beyond. */
  static int interestingF16(Random random, int i) {
    float[] special = {0x1p-24f, 0x1p-25f, 0x1.000002p-25f, 0x1.8p-24f, 0x1.fffffep-26f, 0x1.ff8p-15f, 0x1.ffcp-15f, 0x1p-14f, 65504f,
        65519.996f, 65520f, 65536f, 2049f, 2051f, 4098f, 1.00048828125f, 1.00146484375f};
    int any = interesting(random, i);
    if (i < 2 * special.length) {
      return Float.floatToRawIntBits(i % 2 == 0 ? special[i / 2] : -special[i / 2]);
    }
    return i % 4 == 0 ? any : any & 0x807fffff | 127 - 28 + Math.floorMod(any >>> 23 & 0xff, 46) << 23;
  }

  /** cvt.rn.f16.f32: nearest, ties to even, NaN to 0x7fff: the one of all f16 that is nearest, the even one of two. */
  static int f16(int bits) {
    float value = Float.intBitsToFloat(bits);
    if (Float.isNaN(value)) {
      return 0x7fff;
    }
    int sign = bits >>> 16 & 0x8000;
    double magnitude = Math.abs((double) value);
    int low = 0;
    int high = 0x7c00; // infinity
    while (high - low > 1) {
      int middle = low + high >>> 1;
      if (magnitudeOfF16(middle) <= magnitude) {
        low = middle;
      } else {
        high = middle;
      }
    }
    double below = magnitude - magnitudeOfF16(low);
    double above = magnitudeOfF16(high) - magnitude;
    return sign | (above < below || above == below && (low & 1) == 1 ? high : low);
  }

  /** The bits of the float that an f16 is. */
  static int fromF16(int f16) {
    if ((f16 & 0x7c00) == 0x7c00) {
      return (f16 & 0x8000) << 16 | 0x7f800000 | ((f16 & 0x3ff) != 0 ? (f16 & 0x3ff) << 13 | 0x400000 : 0);
    }
    float magnitude = (float) magnitudeOfF16(f16 & 0x7fff);
    return Float.floatToRawIntBits(magnitude) | (f16 & 0x8000) << 16;
  }

  /** The magnitude of an f16, with the first one past the largest as 2^16 instead of infinity. */
  private static double magnitudeOfF16(int f16) {
    int exponent = f16 >> 10 & 31;
    return exponent == 0 ? Math.scalb((double) (f16 & 0x3ff), -24) : Math.scalb(1024.0 + (f16 & 0x3ff), exponent - 25);
  }

  /** The magnitude of a bf16, with the first one past the largest as 2^128 instead of infinity. */
  private static double magnitudeOf(int bf16) {
    return (bf16 & 0x7fff) == 0x7f80 ? 0x1p128 : Math.abs((double) Float.intBitsToFloat(bf16 << 16));
  }
}
