// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.runtime.op;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.diffusionvl.oracle.SamplingOracle;
import dev.diffusionvl.runtime.DType;
import dev.diffusionvl.runtime.DeviceBuffer;
import java.util.Arrays;
import org.junit.jupiter.api.Test;

/** sample over rows of several slices: how many blocks share a row changes no bit, and crowded bins are searched instead of listed. */
class SampleSlicesTest extends OpTest {
  private static final int VOCAB = SMALL ? 4100 : 6200; // 3 or 4 slices of a row alone

  private record Draws(int[] tokens, float[] probabilities) {}

  private Draws draw(DType dtype, float[] logits, int rows, Sample.Rule rule, boolean original, double[] uniforms) {
    DeviceBuffer token = empty(DType.I32, rows);
    DeviceBuffer probability = empty(DType.F32, rows);
    DeviceBuffer u = own(device.allocate("uniforms", DType.F64, rows));
    u.set(stream, Arrays.copyOf(uniforms, rows));
    sample(buffer(dtype, logits), rows, logits.length / rows, rule, 0, u, original, new Predictions(token, probability));
    return new Draws(token.getInts(stream), probability.getFloats(stream));
  }

  @Test
  void slices() {
    assertEquals(16, SampleWorkspace.slices(132, 8, 151936));
    assertEquals(13, SampleWorkspace.slices(108, 8, 151936), "no wave of blocks behind the first");
    assertEquals(32, SampleWorkspace.slices(132, 1, 151936));
    assertEquals(1, SampleWorkspace.slices(132, 1000, 151936));
    assertEquals(1, SampleWorkspace.slices(132, 1, 2048));
    assertEquals(2, SampleWorkspace.slices(132, 1, 2049));
  }

  /** A row alone has several blocks, each of many rows has one: the same tokens and probabilities, to the bit. */
  @Test
  void howManyBlocksShareARowChangesNoBit() {
    int many = few() ? 33 : 130; // more than half of the blocks of a launch, so that rows have one block
    double[] uniforms = random.doubles(many).toArray();
    float[] row = normal(DType.F32, VOCAB, 3);
    float[] rows = new float[many * VOCAB];
    for (int r = 0; r < many; r++) {
      System.arraycopy(row, 0, rows, r * VOCAB, VOCAB);
    }
    Sample.Rule rule = new Sample.Rule(0.8f, 40, 0.9f, 7, 0, true);
    Draws together = draw(DType.F32, rows, many, rule, true, uniforms);
    for (int r = 0; r < many; r += few() ? 32 : 43) {
      Draws alone = draw(DType.F32, row, 1, rule, true, new double[] {uniforms[r]});
      assertEquals(together.tokens[r], alone.tokens[0], "row " + r + ", seed " + seed);
      assertArrayEquals(new float[] {together.probabilities[r]}, alone.probabilities, "row " + r + ", seed " + seed);
    }
  }

  /** Nearly flat logits, of many different values or of few: thousands of ids in the bin where a filter ends. */
  @Test
  void crowdedBins() {
    for (double scale : new double[] {0.02, 1e-3}) {
      for (DType dtype : few() ? new DType[] {DType.BF16} : MOST) {
        float[] logits = normal(dtype, VOCAB, scale);
        for (int i = 0; i < logits.length; i++) {
          logits[i] = (float) Math.abs(logits[i]) + 1; // in bf16: a handful of values
          logits[i] = dtype == DType.BF16 ? Float.intBitsToFloat(Float.floatToIntBits(logits[i]) & 0xffff0000) : logits[i];
        }
        check(dtype, logits, 300, 1f);
        check(dtype, logits, 0, 0.4f);
        check(dtype, logits, 3000, 0.7f);
      }
    }
  }

  /** Rows so long that a bin is looked for several pieces at a time: the border far from the maximum, near it, and in a crowded bin. */
  @Test
  void longRows() {
    int vocab = few() ? 16400 : 33333;
    for (DType dtype : few() ? new DType[] {DType.BF16} : FLOATS) {
      float[] logits = normal(dtype, vocab, 3);
      check(dtype, logits, 50, 0.9f);
      if (!few()) {
        check(dtype, logits, 0, 0.999f);
        check(dtype, logits, vocab / 2, 1f);
        check(dtype, logits, 1, 1f);
        check(dtype, normal(dtype, vocab, 0.02), 3000, 0.7f);
      }
    }
  }

  /** Logits far from 0, where the distance to the maximum is a small part of them; most ids weigh nothing. */
  @Test
  void largeLogits() {
    for (float base : new float[] {1e7f, -1e7f, 1e38f}) {
      float[] logits = new float[VOCAB];
      for (int i = 0; i < logits.length; i++) {
        logits[i] = base + Math.ulp(base) * (random.nextInt(40) - 30);
      }
      check(DType.F32, logits, 500, 0.9f);
    }
  }

  private void check(DType dtype, float[] logits, int topK, float topP) {
    double[] u = few() ? new double[] {0.3, Math.nextDown(1.0)} : new double[] {0, 0.3, random.nextDouble(), Math.nextDown(1.0)};
    for (float temperature : few() ? new float[] {0.7f} : new float[] {1f, 0.7f}) {
      double[] distribution = SamplingOracle.distribution(logits, -1, temperature, topK, topP);
      for (double uniform : u) {
        Draws drawn = draw(dtype, logits, 1, new Sample.Rule(temperature, topK, topP, -1, 0, true), false, new double[] {uniform});
        int token = drawn.tokens[0];
        double before = Arrays.stream(distribution, 0, token).sum();
        String what = "%s k %d p %s T %s u %s: %d after %s, seed %d".formatted(dtype, topK, topP, temperature, uniform, token, before,
            seed);
        assertTrue(before - 1e-5 <= uniform && uniform <= before + distribution[token] + 1e-5, what);
        assertEquals(distribution[token], drawn.probabilities[0], 1e-5 * distribution[token], what);
      }
    }
  }
}
