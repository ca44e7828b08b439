// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.loader;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteOrder;
import java.util.List;

/** Codes of −8 to 7, eight to a word, a scale per output and group. @param scales [out, in / group], bf16 */
record EncodedInt4(String layer, int out, int in, int group, EncodedMatrix.Rows rows, short[] scales) implements EncodedMatrix {
  private static final ValueLayout.OfInt WORD = ValueLayout.JAVA_INT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);
  private static final ValueLayout.OfLong LONG = ValueLayout.JAVA_LONG_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);

  /** A scale is the group's largest weight by one of these: from all weights within the codes to the largest at two thirds. */
  private static final float[] DIVISORS = {7, 7.5f, 8, 8.5f, 9, 9.5f, 10, 10.5f};

  static EncodedInt4 of(String layer, int out, int in, int group, Rows rows, float[] importance) {
    if (in % group != 0 || group % 8 != 0) {
      throw new IllegalArgumentException(layer + ": " + in + " inputs in groups of " + group);
    }
    short[] scales = new short[Math.multiplyExact(out, in / group)];
    Encoding.eachRow(out, row -> {
      float[] weights = new float[in];
      rows.read(row, weights);
      for (int g = 0; g < in / group; g++) {
        scales[row * (in / group) + g] = best(weights, g * group, group, importance);
      }
    });
    return new EncodedInt4(layer, out, in, group, rows, scales);
  }

  private static short best(float[] weights, int from, int count, float[] importance) {
    float largest = 0;
    for (int i = from; i < from + count; i++) {
      largest = Math.max(largest, Math.abs(weights[i]));
    }
    if (largest == 0) {
      return Encoding.scale(1);
    }
    short best = 0;
    double least = Double.POSITIVE_INFINITY;
    for (float divisor : DIVISORS) {
      short candidate = Encoding.scale(largest / divisor);
      float scale = Encoding.scaleOf(candidate);
      double error = 0;
      for (int i = from; i < from + count; i++) {
        double miss = weights[i] - code(weights[i], scale) * scale;
        error += miss * miss * (importance == null ? 1 : importance[i]);
      }
      if (error < least || best == 0) {
        least = error;
        best = candidate;
      }
    }
    return best;
  }

  private static int code(float weight, float scale) {
    return (int) Math.clamp(Math.rint(weight / scale), -8, 7);
  }

  private float scale(int row, int column) {
    return Encoding.scaleOf(scales[row * (in / group) + column / group]);
  }

  @Override
  public List<SafetensorsWriter.Tensor> tensors() {
    MemorySegment shape = MemorySegment.ofArray(new byte[16]);
    shape.set(LONG, 0, out);
    shape.set(LONG, 8, in);
    return List.of(
        new SafetensorsWriter.Tensor(layer + ".weight_packed", TensorType.I32, new long[] {out, in / 8},
            Encoding.codes(out, in / 2, this::pack)),
        Encoding.scales(layer, out, in / group, scales),
        SafetensorsWriter.Tensor.of(layer + ".weight_shape", TensorType.I64, new long[] {2}, shape));
  }

  private void pack(int row, MemorySegment target) {
    float[] weights = new float[in];
    rows.read(row, weights);
    for (int first = 0; first < in; first += 8) {
      float scale = scale(row, first);
      int word = 0;
      for (int i = 0; i < 8; i++) {
        word |= code(weights[first + i], scale) + 8 << 4 * i;
      }
      target.set(WORD, first / 2, word);
    }
  }

  @Override
  public void decode(int row, float[] weights, float[] decoded) {
    for (int i = 0; i < in; i++) {
      float scale = scale(row, i);
      decoded[i] = code(weights[i], scale) * scale;
    }
  }
}
