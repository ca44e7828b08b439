// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.op;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;

import dev.diffusionvl.runtime.DType;
import dev.diffusionvl.runtime.DeviceBuffer;
import dev.diffusionvl.runtime.op.Segments;
import org.junit.jupiter.api.Test;

/** What must not change a result of attention: the rest of the batch, and where the keys lie. */
class AttentionInvarianceTest extends OpTest {
  private static final int DIM = 80;

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
        kernels.attention().launch(stream, buffer(DType.F32, q), buffer(DType.F32, k), buffer(DType.F32, v), segments,
            out, 1, 1, DIM, slots, 1f);
      }
      // the others weigh e^-96 or less: nothing in f32
      float[] actual = out.getFloats(stream);
      for (int d = 0; d < DIM; d++) {
        assertEquals(v[at * DIM + d], actual[d], 1e-6f, "key " + at);
      }
    }
  }
}
