// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.runtime.op;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.diffusionvl.oracle.RotaryOracle;
import dev.diffusionvl.oracle.Rounding;
import dev.diffusionvl.runtime.DType;
import dev.diffusionvl.runtime.DeviceBuffer;
import dev.diffusionvl.runtime.op.Segments;
import org.junit.jupiter.api.Test;

/** rope_kv_append and vision_rotary: values, and where they land. */
class RotaryTest extends OpTest {
  @Test
  void ropeWritesQueriesAndCacheSlotsOfEverySegment() {
    int[][] heads = {{2, 1}, {7, 1}, {4, 4}, {3, 3}};
    for (DType dtype : FLOATS) {
      for (int[] h : heads) {
        for (int dim : new int[] {128, 80, 6}) {
          ropeCase(dtype, h[0], h[1], dim, true);
        }
      }
      ropeCase(dtype, 2, 1, 128, false);
    }
  }

  private void ropeCase(DType dtype, int heads, int kvHeads, int dim, boolean biased) {
    int slots = 29;
    int positions = 50;
    int width = (heads + 2 * kvHeads) * dim;
    int[][] segments = {{0, 3, 40, 2}, {3, 8, 11, 21}, {11, 1, 0, 13}}; // row, rows, position, slot
    int rows = 12;
    float[] acc = normal(DType.F32, rows * width, 1);
    float[] bias = biased ? normal(dtype, width, 1) : null;
    float[] cos = normal(DType.F32, positions * dim / 2, 1);
    float[] sin = normal(DType.F32, positions * dim / 2, 1);
    DeviceBuffer q = empty(dtype, (long) rows * heads * dim);
    DeviceBuffer k = empty(dtype, (long) kvHeads * slots * dim);
    DeviceBuffer v = empty(dtype, (long) kvHeads * slots * dim);
    try (Segments s = new Segments(device, 3)) {
      for (int[] g : segments) {
        s.add(g[0], g[1], g[2], g[3], 0, 0, Segments.Own.NONE);
      }
      s.upload(stream);
      kernels.ropeKvAppend.launch(stream, buffer(DType.F32, acc), optional(dtype, bias),
          new Rope(buffer(DType.F32, cos), buffer(DType.F32, sin)), s, q, new KeyValues(k, v, new Heads(heads, kvHeads, dim), slots));
    }
    Rounding t = Rounding.of(dtype);
    double[] x = RotaryOracle.linear(acc, bias, width, t);
    float[] actualQ = q.getFloats(stream);
    float[] actualK = k.getFloats(stream);
    float[] actualV = v.getFloats(stream);
    boolean[] written = new boolean[slots];
    double tolerance = tolerance(dtype, 4e-3, 1e-6);
    for (int[] g : segments) {
      for (int i = 0; i < g[1]; i++) {
        int row = g[0] + i;
        int slot = g[3] + i;
        written[slot] = true;
        for (int head = 0; head < heads; head++) {
          assertHead("q", RotaryOracle.text(x, row * width + head * dim, dim, cos, sin, g[2] + i, t), actualQ, (row * heads + head) * dim,
              tolerance);
        }
        for (int head = 0; head < kvHeads; head++) {
          int at = (head * slots + slot) * dim;
          assertHead("k", RotaryOracle.text(x, row * width + (heads + head) * dim, dim, cos, sin, g[2] + i, t), actualK, at, tolerance);
          for (int d = 0; d < dim; d++) {
            double expected = x[row * width + (heads + kvHeads + head) * dim + d];
            assertEquals(expected, actualV[at + d], unit(dtype, expected), "v");
          }
        }
      }
    }
    for (int head = 0; head < kvHeads; head++) {
      for (int slot = 0; slot < slots; slot++) {
        boolean nan = Float.isNaN(actualK[(head * slots + slot) * dim]);
        assertEquals(!written[slot], nan, "slot " + slot + " of head " + head);
      }
    }
  }

  private void assertHead(String what, double[] expected, float[] actual, int at, double tolerance) {
    double error = 0;
    double norm = 0;
    for (int d = 0; d < expected.length; d++) {
      error += Math.pow(actual[at + d] - expected[d], 2);
      norm += Math.pow(expected[d], 2);
    }
    assertTrue(Math.sqrt(error) <= tolerance * Math.sqrt(norm), what + " at " + at + ": error " + Math.sqrt(error / norm) + ", seed "
        + seed);
  }

  @Test
  void visionRotarySplitsAndRotatesInF32() {
    for (DType dtype : FLOATS) {
      for (int[] c : new int[][] {{1, 1, 80}, {5, 2, 80}, {9, 3, 72}, {4, 16, 80}}) {
        int rows = c[0];
        int heads = c[1];
        int dim = c[2];
        int width = 3 * heads * dim;
        float[] acc = normal(DType.F32, rows * width, 1);
        float[] bias = rows == 5 ? null : normal(dtype, width, 1);
        float[] cos = normal(DType.F32, rows * dim / 2, 1);
        float[] sin = normal(DType.F32, rows * dim / 2, 1);
        DeviceBuffer q = empty(dtype, (long) rows * heads * dim);
        DeviceBuffer k = empty(dtype, (long) rows * heads * dim);
        DeviceBuffer v = empty(dtype, (long) rows * heads * dim);
        kernels.visionRotary.launch(stream, buffer(DType.F32, acc), optional(dtype, bias),
            new Rope(buffer(DType.F32, cos), buffer(DType.F32, sin)), q, new KeyValues(k, v, new Heads(heads, heads, dim), rows));
        Rounding t = Rounding.of(dtype);
        double[] x = RotaryOracle.linear(acc, bias, width, t);
        float[] actualQ = q.getFloats(stream);
        float[] actualK = k.getFloats(stream);
        float[] actualV = v.getFloats(stream);
        for (int row = 0; row < rows; row++) {
          for (int head = 0; head < heads; head++) {
            int from = row * width + head * dim;
            double tolerance = tolerance(dtype, 4e-3, 1e-6);
            assertHead("q", RotaryOracle.vision(x, from, dim, cos, sin, row, t), actualQ, (row * heads + head) * dim, tolerance);
            assertHead("k", RotaryOracle.vision(x, from + heads * dim, dim, cos, sin, row, t), actualK, (head * rows + row) * dim,
                tolerance);
            double[] value = new double[dim];
            System.arraycopy(x, from + 2 * heads * dim, value, 0, dim);
            assertHead("v", value, actualV, (head * rows + row) * dim, tolerance);
          }
        }
      }
    }
  }

  @Test
  void visionRotaryWithoutAnglesOnlySplits() {
    int rows = 5;
    int heads = 3;
    int dim = 72;
    int width = 3 * heads * dim;
    for (DType dtype : FLOATS) {
      float[] acc = normal(DType.F32, rows * width, 1);
      float[] bias = normal(dtype, width, 1);
      DeviceBuffer q = empty(dtype, (long) rows * heads * dim);
      DeviceBuffer k = empty(dtype, (long) rows * heads * dim);
      DeviceBuffer v = empty(dtype, (long) rows * heads * dim);
      kernels.visionRotary.launch(stream, buffer(DType.F32, acc), buffer(dtype, bias), null, q,
          new KeyValues(k, v, new Heads(heads, heads, dim), rows));
      double[] x = RotaryOracle.linear(acc, bias, width, Rounding.of(dtype));
      float[][] actual = {q.getFloats(stream), k.getFloats(stream), v.getFloats(stream)};
      for (int i = 0; i < x.length; i++) {
        int row = i / width;
        int part = i % width / (heads * dim);
        int head = i % width / dim % heads;
        int to = (part == 0 ? row * heads + head : head * rows + row) * dim + i % dim;
        assertEquals((float) x[i], actual[part][to], "element " + i + " (seed " + seed + ")");
      }
    }
  }
}
