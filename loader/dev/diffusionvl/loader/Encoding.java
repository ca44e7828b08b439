// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.loader;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteOrder;
import java.util.function.IntConsumer;
import java.util.stream.IntStream;

/** What the encoders of matrices share. */
final class Encoding {
  private static final long PIECE_BYTES = 8 << 20;

  private Encoding() {}

  /** Something for each row, by several threads. */
  static void eachRow(int rows, IntConsumer body) {
    IntStream.range(0, rows).parallel().forEach(body);
  }

  /** How a row becomes codes. */
  interface RowCodes {
    void write(int row, MemorySegment target);
  }

  /** Codes of all rows, some rows at a time. */
  static SafetensorsWriter.Data codes(int rows, long rowBytes, RowCodes codes) {
    return file -> {
      int each = (int) Math.clamp(PIECE_BYTES / rowBytes, 1, rows);
      try (Arena arena = Arena.ofShared()) {
        MemorySegment piece = arena.allocate(each * rowBytes, 8);
        for (int first = 0; first < rows; first += each) {
          int from = first;
          int count = Math.min(each, rows - first);
          eachRow(count, i -> codes.write(from + i, piece.asSlice(i * rowBytes, rowBytes)));
          file.write(piece.asSlice(0, count * rowBytes));
        }
      }
    };
  }

  /** Scales as a BF16 tensor. */
  static SafetensorsWriter.Tensor scales(String layer, long rows, long columns, short[] scales) {
    MemorySegment bytes = MemorySegment.ofArray(new byte[2 * scales.length]);
    MemorySegment.copy(scales, 0, bytes, ValueLayout.JAVA_SHORT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN), 0, scales.length);
    return SafetensorsWriter.Tensor.of(layer + ".weight_scale", TensorType.BF16, new long[] {rows, columns}, bytes);
  }

  /** The nearest bf16 that is a scale: not zero, and finite for any finite weight. */
  static short scale(float value) {
    int bits = Float.floatToRawIntBits(Math.max(value, Float.MIN_NORMAL));
    return (short) (bits + 0x7fff + (bits >>> 16 & 1) >>> 16);
  }

  static float scaleOf(short bits) {
    return Float.intBitsToFloat(bits << 16);
  }
}
