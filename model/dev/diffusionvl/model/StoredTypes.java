// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.model;

import dev.diffusionvl.loader.TensorType;
import dev.diffusionvl.runtime.DType;

/** Which element type of a file is which on the device, bit for bit. */
final class StoredTypes {
  private StoredTypes() {}

  /** The device's type with the same bits, or null. */
  static DType dtype(TensorType type) {
    return switch (type) {
      case BF16 -> DType.BF16;
      case F16 -> DType.F16;
      case F32 -> DType.F32;
      case F64 -> DType.F64;
      case I32 -> DType.I32;
      case U8 -> DType.U8;
      default -> null;
    };
  }

  /** The file's type with the same bits. */
  static TensorType tensorType(DType dtype) {
    return TensorType.valueOf(dtype.name());
  }
}
