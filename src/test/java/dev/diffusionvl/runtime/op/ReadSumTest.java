// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.runtime.op;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;

import dev.diffusionvl.runtime.DType;
import dev.diffusionvl.runtime.DeviceBuffer;
import org.junit.jupiter.api.Test;

/** read_sum over ragged sizes and grids: every element is added exactly once. */
class ReadSumTest extends OpTest {
  private static final int[] SIZES = {1, 7, 8, 9, 2047, 2048, 2049, 8192, 20011, 65536 + 24};

  private float[] sum(DeviceBuffer x, int blocks) {
    DeviceBuffer partial = empty(DType.F32, blocks);
    kernels.readSum.launch(stream, x, partial);
    return partial.getFloats(stream);
  }

  @Test
  void addsEveryElementOnce() {
    for (DType dtype : FLOATS) {
      for (int n : SIZES) {
        for (int blocks : new int[] {1, 3}) {
          float[] x = normal(dtype, n, 1);
          double expected = 0;
          double magnitude = 0;
          for (float v : x) {
            expected += v;
            magnitude += Math.abs(v);
          }
          float[] partial = sum(buffer(dtype, x), blocks);
          double actual = 0;
          for (float p : partial) {
            actual += p;
          }
          assertEquals(expected, actual, 1e-6 * magnitude + 1e-6, "%s, %d elements, %d blocks (seed %d)".formatted(dtype, n, blocks, seed));
          assertArrayEquals(partial, sum(buffer(dtype, x), blocks), 0f, "not the same bits twice");
        }
      }
    }
  }

  /** Small integers are exact in any order of addition: no tolerance can hide a missing or doubled element. */
  @Test
  void integersAreExact() {
    for (DType dtype : FLOATS) {
      for (int n : SIZES) {
        float[] x = new float[n + 1];
        long expected = 0;
        for (int i = 0; i < n; i++) {
          x[i + 1] = 1 + i % 7;
          expected += 1 + i % 7;
        }
        DeviceBuffer unaligned = buffer(dtype, x).slice(1, n);
        long actual = 0;
        for (float p : sum(unaligned, 2)) {
          actual += (long) p;
        }
        assertEquals(expected, actual, dtype + ", " + n + " elements, not aligned");
        float[] aligned = java.util.Arrays.copyOfRange(x, 1, n + 1);
        actual = 0;
        for (float p : sum(buffer(dtype, aligned), 2)) {
          actual += (long) p;
        }
        assertEquals(expected, actual, dtype + ", " + n + " elements");
      }
    }
  }
}
