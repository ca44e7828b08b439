// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.loader;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteOrder;
import java.util.Arrays;

/**
 * One tensor of a safetensors file: row-major, little-endian.
 *
 * @param name as the file spells it
 * @param shape dimensions; empty for a scalar
 * @param byteSize length of the data in bytes, equal to the product of the shape times the element size
 * @param data the bytes inside the mapped file, valid until the file is closed and not necessarily aligned to the
 *     element size; null when only headers were read
 */
public record TensorView(String name, TensorType type, long[] shape, long byteSize, MemorySegment data) {
  private static final ValueLayout.OfShort SHORT = ValueLayout.JAVA_SHORT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);
  private static final ValueLayout.OfFloat FLOAT = ValueLayout.JAVA_FLOAT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);

  /** Number of elements. */
  public long elements() {
    return byteSize / type.bytes();
  }

  /**
   * Element {@code index} in row-major order as a float; exact.
   *
   * @throws IllegalStateException if the type is not F32, F16 or BF16, or the data is not mapped or already closed
   */
  public float floatAt(long index) {
    if (data == null) {
      throw new IllegalStateException(name + ": only the header was read");
    }
    return switch (type) {
      case F32 -> data.get(FLOAT, index * 4);
      case F16 -> Float.float16ToFloat(data.get(SHORT, index * 2));
      case BF16 -> Float.intBitsToFloat(data.get(SHORT, index * 2) << 16);
      default -> throw new IllegalStateException(name + ": " + type + " is not a type of weights");
    };
  }

  @Override
  public String toString() {
    return name + " " + type + Arrays.toString(shape);
  }
}
