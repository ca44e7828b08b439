// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.op;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.diffusionvl.oracle.AttentionOracle;
import dev.diffusionvl.runtime.DType;
import dev.diffusionvl.runtime.DeviceBuffer;
import dev.diffusionvl.runtime.op.Segments;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import org.junit.jupiter.api.Test;

/** attention against float64 over every kind of segment: prefill, denoise, fused store, speculation, batching, windows. */
class AttentionTest extends OpTest {
  /** rows, slot, context begin and end, visible segments. */
  private record Part(int rows, int slot, int contextBegin, int contextEnd, long visible) {}

  private void check(DType dtype, int heads, int kvHeads, int dim, int slots, Part... parts) {
    int rows = Arrays.stream(parts).mapToInt(Part::rows).sum();
    float[] q = normal(dtype, rows * heads * dim, 1);
    float[] k = normal(dtype, kvHeads * slots * dim, 1);
    float[] v = normal(dtype, kvHeads * slots * dim, 1);
    DeviceBuffer out = empty(dtype, q.length);
    double scale = 1 / Math.sqrt(dim);
    try (Segments segments = new Segments(device, parts.length)) {
      int row = 0;
      for (Part p : parts) {
        segments.add(row, p.rows(), 0, p.slot(), p.contextBegin(), p.contextEnd(), p.visible());
        row += p.rows();
      }
      segments.upload(stream);
      kernels.attention().launch(stream, buffer(dtype, q), buffer(dtype, k), buffer(dtype, v), segments, out, heads, kvHeads, dim, slots,
          (float) scale);
    }
    double[] expected = new double[q.length];
    int row = 0;
    for (Part p : parts) {
      List<Integer> slotList = new ArrayList<>();
      for (int s = p.contextBegin(); s < p.contextEnd(); s++) {
        slotList.add(s);
      }
      for (int t = 0; t < 64; t++) {
        if ((p.visible() >>> t & 1) != 0) {
          for (int s = 0; s < parts[t].rows(); s++) {
            slotList.add(parts[t].slot() + s);
          }
        }
      }
      int[] seen = slotList.stream().mapToInt(Integer::intValue).toArray();
      for (int i = 0; i < p.rows(); i++, row++) {
        for (int head = 0; head < heads; head++) {
          int at = (row * heads + head) * dim;
          double[] one = AttentionOracle.head(q, at, k, v, head / (heads / kvHeads) * slots * dim, seen, dim, scale);
          System.arraycopy(one, 0, expected, at, dim);
        }
      }
    }
    String what = "attention " + dtype + " heads " + heads + "/" + kvHeads + " dim " + dim + " " + Arrays.toString(parts);
    assertRows(what, expected, out.getFloats(stream), rows * heads, dtype == DType.BF16 ? 4e-3 : 3e-6);
  }

  @Test
  void everyShapeOfPass() {
    for (DType dtype : FLOATS) {
      for (int dim : new int[] {128, 80, 72}) {
        check(dtype, 2, 1, dim, 1, new Part(1, 0, 0, 1, 0)); // one key
        check(dtype, 4, 4, dim, 9, new Part(3, 6, 0, 7, 0), new Part(5, 0, 2, 3, 0));
        check(dtype, 7, 1, dim, 24, new Part(8, 0, 0, 8, 0), new Part(8, 8, 0, 16, 0), new Part(8, 16, 0, 24, 0)); // prefill
        check(dtype, 8, 1, dim, 45, new Part(8, 37, 0, 37, 1)); // denoise: cache and itself
        check(dtype, 2, 1, dim, 30, new Part(8, 13, 0, 13, 1), new Part(8, 21, 0, 13, 3)); // fused store
        check(dtype, 2, 2, dim, 40, new Part(8, 5, 0, 5, 1), new Part(8, 13, 0, 5, 2), new Part(8, 21, 0, 5, 4)); // variants
        check(dtype, 2, 1, dim, 300, new Part(2, 290, 3, 200, 1), new Part(1, 250, 201, 250, 2)); // two sequences in one cache
        check(dtype, 1, 1, dim, 420, new Part(3, 412, 1, 410, 1)); // more than three tiles, ragged
        check(dtype, 2, 1, dim, 129, new Part(1, 128, 0, 128, 1)); // a tile and one key
      }
    }
  }

  @Test
  void visibilityBitsBeyondThirtyTwo() {
    Part[] parts = new Part[40];
    for (int i = 0; i < parts.length; i++) {
      parts[i] = new Part(1, 5 + i, 0, i % 3, 1L << i | 1L << (39 - i));
    }
    check(DType.F32, 2, 1, 128, 50, parts);
    check(DType.BF16, 2, 1, 80, 50, parts);
  }

  @Test
  void constantValuesComeBackExactly() {
    for (DType dtype : FLOATS) {
      float[] ones = new float[300 * 128];
      Arrays.fill(ones, 1f);
      DeviceBuffer out = empty(dtype, 2 * 128);
      try (Segments segments = new Segments(device, 1)) {
        segments.add(0, 2, 0, 0, 0, 300, 0);
        segments.upload(stream);
        kernels.attention().launch(stream, buffer(dtype, normal(dtype, 2 * 128, 1)), buffer(dtype, normal(dtype, 300 * 128, 1)),
            buffer(dtype, ones), segments, out, 1, 1, 128, 300, 0.1f);
      }
      for (float x : out.getFloats(stream)) {
        // weights add up to one; rounding P to bf16 leaves its mean error
        assertTrue(Math.abs(x - 1) <= (dtype == DType.BF16 ? 4e-3 : 1e-6), "value " + x);
      }
    }
  }

  @Test
  void aSegmentThatSeesNothingGivesZeros() {
    DeviceBuffer out = empty(DType.F32, 128);
    try (Segments segments = new Segments(device, 1)) {
      segments.add(0, 1, 0, 0, 2, 2, 0);
      segments.upload(stream);
      DeviceBuffer data = buffer(DType.F32, normal(DType.F32, 4 * 128, 1));
      kernels.attention().launch(stream, data, data, data, segments, out, 1, 1, 128, 4, 1f);
    }
    assertArrayEquals(new float[128], out.getFloats(stream), 0f);
  }

  @Test
  void hugeScoresDoNotOverflow() {
    float[] q = new float[128];
    float[] k = new float[3 * 128];
    Arrays.fill(q, 100f);
    Arrays.fill(k, 0, 128, 100f);
    Arrays.fill(k, 128, 256, -100f);
    float[] v = normal(DType.F32, 3 * 128, 1);
    DeviceBuffer out = empty(DType.F32, 128);
    try (Segments segments = new Segments(device, 1)) {
      segments.add(0, 1, 0, 0, 0, 3, 0);
      segments.upload(stream);
      kernels.attention().launch(stream, buffer(DType.F32, q), buffer(DType.F32, k), buffer(DType.F32, v), segments, out, 1, 1, 128, 3, 1f);
    }
    assertArrayEquals(Arrays.copyOf(v, 128), out.getFloats(stream), 1e-6f);
  }

  @Test
  void refusesWhatDoesNotFit() {
    DeviceBuffer data = buffer(DType.F32, new float[4 * 128]);
    try (Segments segments = new Segments(device, 1)) {
      segments.add(0, 1, 0, 3, 0, 5, 0);
      segments.upload(stream);
      assertThrows(IllegalArgumentException.class,
          () -> kernels.attention().launch(stream, data, data, data, segments, data, 1, 1, 128, 4, 1f));
      assertThrows(IllegalArgumentException.class,
          () -> kernels.attention().launch(stream, data, data, data, segments, data, 1, 1, 64, 8, 1f));
      assertThrows(IllegalArgumentException.class, () -> segments.add(0, 1, 0, 0, 0, 1, 0));
      segments.clear();
      segments.add(0, 1, 0, 0, 0, 1, 2);
      assertThrows(IllegalArgumentException.class, () -> segments.upload(stream));
    }
  }
}
