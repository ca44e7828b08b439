// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.op;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.diffusionvl.oracle.AttentionOracle;
import dev.diffusionvl.runtime.DType;
import dev.diffusionvl.runtime.DeviceBuffer;
import dev.diffusionvl.runtime.op.Segments;
import java.util.Arrays;
import org.junit.jupiter.api.Test;

/** What attention must not look at: hidden slots, the other segments of a pass, rows that belong to no segment. */
class AttentionIsolationTest extends OpTest {
  private static final int DIM = 80;

  @Test
  void hiddenSlotsMayHoldAnything() {
    int slots = 400;
    for (DType dtype : FLOATS) {
      float[] q = normal(dtype, 2 * DIM, 1);
      float[] k = normal(dtype, slots * DIM, 1);
      float[] v = normal(dtype, slots * DIM, 1);
      boolean[] seen = new boolean[slots];
      Arrays.fill(seen, 7, 301, true); // context
      Arrays.fill(seen, 350, 352, true); // the segment itself
      for (int slot = 0; slot < slots; slot++) {
        if (!seen[slot]) {
          Arrays.fill(k, slot * DIM, (slot + 1) * DIM, Float.NaN);
          Arrays.fill(v, slot * DIM, (slot + 1) * DIM, Float.NaN);
        }
      }
      // rows 1 and 2 of a pass whose rows 0 and 3 belong to no segment
      float[] rows = new float[4 * DIM];
      System.arraycopy(q, 0, rows, DIM, 2 * DIM);
      DeviceBuffer out = empty(dtype, 4 * DIM);
      try (Segments segments = new Segments(device, 1)) {
        segments.add(1, 2, 0, 350, 7, 301, 1);
        segments.upload(stream);
        kernels.attention().launch(stream, buffer(dtype, rows), buffer(dtype, k), buffer(dtype, v), segments, out, 1, 1, DIM, slots,
            0.1f);
      }
      float[] actual = out.getFloats(stream);
      int[] visible = java.util.stream.IntStream.range(0, slots).filter(s -> seen[s]).toArray();
      double[] expected = new double[2 * DIM];
      for (int row = 0; row < 2; row++) {
        System.arraycopy(AttentionOracle.head(q, row * DIM, k, v, 0, visible, DIM, 0.1f), 0, expected, row * DIM, DIM);
      }
      assertRows("attention between NaN " + dtype, expected, Arrays.copyOfRange(actual, DIM, 3 * DIM), 2,
          dtype == DType.BF16 ? 4e-3 : 3e-6);
      assertTrue(Float.isNaN(actual[0]) && Float.isNaN(actual[4 * DIM - 1]), "rows of no segment are left alone");
    }
  }

  /** A sequence's rows do not change, to the bit, with what else is in the pass. */
  @Test
  void resultsDoNotDependOnTheBatch() {
    int slots = 320;
    int heads = 4;
    for (DType dtype : FLOATS) {
      DeviceBuffer q = buffer(dtype, normal(dtype, 3 * 5 * heads * DIM, 1));
      DeviceBuffer k = buffer(dtype, normal(dtype, 2 * slots * DIM, 1));
      DeviceBuffer v = buffer(dtype, normal(dtype, 2 * slots * DIM, 1));
      int[][] parts = {{0, 5, 140, 0, 140}, {5, 5, 310, 150, 300}, {10, 5, 145, 0, 0}}; // row, rows, slot, context
      DeviceBuffer together = empty(dtype, q.elements());
      try (Segments segments = new Segments(device, 3)) {
        for (int i = 0; i < 3; i++) {
          segments.add(parts[i][0], parts[i][1], 0, parts[i][2], parts[i][3], parts[i][4], 1L << i);
        }
        segments.upload(stream);
        kernels.attention().launch(stream, q, k, v, segments, together, heads, 2, DIM, slots, 0.11f);
      }
      float[] expected = together.getFloats(stream);
      for (int[] p : parts) {
        DeviceBuffer alone = empty(dtype, q.elements());
        try (Segments segments = new Segments(device, 1)) {
          segments.add(p[0], p[1], 0, p[2], p[3], p[4], 1);
          segments.upload(stream);
          kernels.attention().launch(stream, q, k, v, segments, alone, heads, 2, DIM, slots, 0.11f);
        }
        float[] actual = alone.getFloats(stream);
        for (int i = p[0] * heads * DIM; i < (p[0] + p[1]) * heads * DIM; i++) {
          assertFalse(Float.isNaN(actual[i]));
          assertEquals(expected[i], actual[i], 0f, "element " + i + ", seed " + seed);
        }
      }
    }
  }

  /** A running maximum that rises late, and one that falls: both ends of the online softmax. */
  @Test
  void theLargestScoreMayStandInAnyTile() {
    int slots = 390;
    for (int at : new int[] {0, 127, 128, 255, 256, 389}) {
      float[] q = new float[DIM];
      q[0] = 1;
      float[] k = new float[slots * DIM];
      for (int slot = 0; slot < slots; slot++) {
        k[slot * DIM] = slot == at ? 60 : -40 + slot % 5;
      }
      float[] v = normal(DType.F32, slots * DIM, 1);
      DeviceBuffer out = empty(DType.F32, DIM);
      try (Segments segments = new Segments(device, 1)) {
        segments.add(0, 1, 0, 0, 0, slots, 0);
        segments.upload(stream);
        kernels.attention().launch(stream, buffer(DType.F32, q), buffer(DType.F32, k), buffer(DType.F32, v), segments, out, 1, 1, DIM,
            slots, 1f);
      }
      // the others weigh e^-96 or less: nothing in f32
      float[] actual = out.getFloats(stream);
      for (int d = 0; d < DIM; d++) {
        assertEquals(v[at * DIM + d], actual[d], 1e-6f, "key " + at);
      }
    }
  }
}
