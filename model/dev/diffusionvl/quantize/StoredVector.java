// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.quantize;

import dev.diffusionvl.loader.SafetensorsWriter;
import dev.diffusionvl.loader.TensorType;
import dev.diffusionvl.loader.TensorView;
import dev.diffusionvl.runtime.DType;
import java.lang.foreign.MemorySegment;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;

/** Small tensors with new values, in the type that they were stored in. */
final class StoredVector {
  private StoredVector() {}

  /** A value as the type has it. */
  static float rounded(TensorType type, float value) {
    return switch (type) {
      case BF16 -> DType.fromBf16(DType.toBf16(value));
      case F16 -> Float.float16ToFloat(Float.floatToFloat16(value));
      default -> value;
    };
  }

  /** @param stored of which type and shape are taken */
  static SafetensorsWriter.Tensor of(String name, TensorView stored, float[] values) {
    ByteBuffer bytes = ByteBuffer.allocate(values.length * stored.type().bytes()).order(ByteOrder.LITTLE_ENDIAN);
    for (float value : values) {
      switch (stored.type()) {
        case BF16 -> bytes.putShort(DType.toBf16(value));
        case F16 -> bytes.putShort(Float.floatToFloat16(value));
        default -> bytes.putFloat(value);
      }
    }
    return SafetensorsWriter.Tensor.of(name, stored.type(), stored.shape(), MemorySegment.ofArray(bytes.array()));
  }
}
