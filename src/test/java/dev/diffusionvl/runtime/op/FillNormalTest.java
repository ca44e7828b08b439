// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.runtime.op;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.diffusionvl.oracle.NormalOracle;
import dev.diffusionvl.oracle.Rounding;
import dev.diffusionvl.runtime.DType;
import dev.diffusionvl.runtime.DeviceBuffer;
import java.util.Arrays;
import org.junit.jupiter.api.Test;

/** fill_normal: the stream itself against float64, its moments, and that neither size nor alignment changes an element. */
class FillNormalTest extends OpTest {
  private static final int[] SIZES = {1, 2, 7, 8, 9, 255, 2047, 2048, 2049, 6151};

  private float[] fill(DType dtype, int n, float mean, float scale) {
    DeviceBuffer out = empty(dtype, n);
    kernels.fillNormal.launch(stream, out, mean, scale, seed);
    return out.getFloats(stream);
  }

  @Test
  void equalsTheOracle() {
    for (int n : SIZES) {
      double[] expected = NormalOracle.fill(n, 0.5, 3, seed);
      float[] actual = fill(DType.F32, n, 0.5f, 3);
      for (int i = 0; i < n; i++) {
        assertEquals(expected[i], actual[i], 2e-5, "element " + i + " of " + n + " (seed " + seed + ")");
      }
    }
  }

  @Test
  void bf16IsTheSameStreamRoundedOnce() {
    for (int n : SIZES) {
      float[] exact = fill(DType.F32, n, 0, 0.02f);
      float[] expected = new float[n];
      for (int i = 0; i < n; i++) {
        expected[i] = (float) Rounding.of(DType.BF16).of(exact[i]);
      }
      assertArrayEquals(expected, fill(DType.BF16, n, 0, 0.02f), 0f, n + " elements (seed " + seed + ")");
    }
  }

  @Test
  void anElementDependsOnItsIndexAlone() {
    float[] all = fill(DType.F32, 5000, 0, 1);
    assertArrayEquals(Arrays.copyOf(all, 4001), fill(DType.F32, 4001, 0, 1), 0f);
    DeviceBuffer odd = empty(DType.F32, 5001).slice(1, 5000); // not 16-byte aligned
    kernels.fillNormal.launch(stream, odd, 0, 1, seed);
    assertArrayEquals(all, odd.getFloats(stream), 0f);
  }

  @Test
  void hasTheMomentsOfANormalDistribution() {
    int n = 200_000;
    float[] z = fill(DType.F32, n, 0, 1);
    double[] moment = new double[5];
    int beyondTwo = 0;
    double neighbours = 0;
    for (int i = 0; i < n; i++) {
      for (int k = 1; k < moment.length; k++) {
        moment[k] += Math.pow(z[i], k) / n;
      }
      beyondTwo += Math.abs(z[i]) > 2 ? 1 : 0;
      neighbours += i > 0 ? z[i] * z[i - 1] / (double) n : 0;
    }
    String where = " (seed " + seed + ")";
    assertEquals(0, moment[1], 0.012, "mean" + where); // five standard errors
    assertEquals(1, moment[2], 0.016, "variance" + where);
    assertEquals(0, moment[3], 0.045, "third moment" + where);
    assertEquals(3, moment[4], 0.11, "fourth moment" + where);
    assertEquals(0.0455, beyondTwo / (double) n, 0.0024, "mass beyond two" + where);
    assertEquals(0, neighbours, 0.012, "correlation of neighbours" + where);
  }

  @Test
  void anotherSeedIsAnotherStream() {
    float[] one = fill(DType.F32, 64, 0, 1);
    DeviceBuffer out = empty(DType.F32, 64);
    kernels.fillNormal.launch(stream, out, 0, 1, seed + 1);
    assertFalse(Arrays.equals(one, out.getFloats(stream)));
    assertTrue(Math.abs(one[0] - out.getFloats(stream)[0]) > 0);
  }
}
