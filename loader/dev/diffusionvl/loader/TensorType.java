// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.loader;

/** Element types of a safetensors file. All may stand in a header; weights are F32, F16 or BF16. */
public enum TensorType {
  F64(8),
  F32(4),
  F16(2),
  BF16(2),
  F8_E4M3(1),
  F8_E5M2(1),
  I64(8),
  I32(4),
  I16(2),
  I8(1),
  U64(8),
  U32(4),
  U16(2),
  U8(1),
  BOOL(1);

  private final int bytes;

  TensorType(int bytes) {
    this.bytes = bytes;
  }

  /** Size of one element in bytes. */
  public int bytes() {
    return bytes;
  }

  /** Whether weights of this type can be loaded. */
  public boolean isWeight() {
    return this == F32 || this == F16 || this == BF16;
  }

  /** The type of that name, or null. */
  static TensorType of(String name) {
    for (TensorType type : values()) {
      if (type.name().equals(name)) {
        return type;
      }
    }
    return null;
  }
}
