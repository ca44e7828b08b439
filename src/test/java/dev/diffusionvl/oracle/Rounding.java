// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.oracle;

import dev.diffusionvl.runtime.DType;

/** The storage type's rounding, applied by oracles where the reference rounds. */
public enum Rounding {
  BF16 {
    @Override
    public double of(double x) {
      // float first: the kernels hold f32 before they round, and halfway cases would otherwise round twice the other way
      return DType.fromBf16(DType.toBf16((float) x));
    }
  },
  F16 {
    @Override
    public double of(double x) {
      return Float.float16ToFloat(Float.floatToFloat16((float) x));
    }
  },
  F32 {
    @Override
    public double of(double x) {
      return (float) x;
    }
  };

  public abstract double of(double x);

  public static Rounding of(DType dtype) {
    return switch (dtype) {
      case BF16 -> BF16;
      case F16 -> F16;
      default -> F32;
    };
  }
}
