// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.runtime;

/** Element types of device buffers. Storage only: every kernel accumulates in f32. */
public enum DType {
  BF16(2, "bf16"),
  F16(2, "f16"),
  F32(4, "f32"),
  F64(8, "f64"),
  I32(4, "i32"),
  U8(1, "u8");

  private final int bytes;
  private final String suffix;

  DType(int bytes, String suffix) {
    this.bytes = bytes;
    this.suffix = suffix;
  }

  /** Size of one element in bytes. */
  public int bytes() {
    return bytes;
  }

  /** Name as kernels and the command line spell it: {@code bf16}, {@code f32}, … */
  public String suffix() {
    return suffix;
  }

  /**
   * What a model's activations may be, by the name on the command line.
   *
   * @throws IllegalArgumentException "dtype is …, allowed are …"
   */
  public static DType ofActivations(String word) {
    return switch (word) {
      case "bf16" -> BF16;
      case "f16" -> F16;
      case "f32" -> F32;
      default -> throw new IllegalArgumentException("dtype is '" + word + "', allowed are bf16, f16 and f32");
    };
  }

  /** Whether elements are floating-point numbers of 16 bits. */
  public boolean isHalf() {
    return this == BF16 || this == F16;
  }

  /** The 16 bits of the number of this type, BF16 or F16, that is nearest to a float, ties to even; F16 ends at ±65,504. */
  public short toHalf(float value) {
    return this == F16 ? Float.floatToFloat16(value) : toBf16(value);
  }

  /** The float that 16 bits of this type, BF16 or F16, stand for; exact. */
  public float fromHalf(short bits) {
    return this == F16 ? Float.float16ToFloat(bits) : fromBf16(bits);
  }

  /** Rounds a float to bf16, nearest even, and returns the 16 bits; NaN stays a (quiet) NaN. */
  public static short toBf16(float value) {
    int bits = Float.floatToRawIntBits(value);
    if ((bits & 0x7fffffff) > 0x7f800000) {
      return (short) (bits >>> 16 | 0x40);
    }
    return (short) (bits + 0x7fff + (bits >>> 16 & 1) >>> 16);
  }

  /** The float that 16 bits of bf16 stand for; exact. */
  public static float fromBf16(short bits) {
    return Float.intBitsToFloat(bits << 16);
  }
}
