// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.runtime.op;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.diffusionvl.oracle.SamplingOracle;
import dev.diffusionvl.runtime.DType;
import dev.diffusionvl.runtime.DeviceBuffer;
import java.util.Arrays;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** What confidence and sample do with whole distributions: kept sets, ties, zeros of both signs, infinities, excluded ids. */
class DistributionTest extends OpTest {
  /** One row of logits drawn from with many uniforms; returns the tokens. */
  private int[] draw(DType dtype, float[] logits, double[] uniforms, int excluded, float temperature, int topK, float topP) {
    int rows = uniforms.length;
    float[] repeated = new float[rows * logits.length];
    for (int r = 0; r < rows; r++) {
      System.arraycopy(logits, 0, repeated, r * logits.length, logits.length);
    }
    DeviceBuffer u = own(device.allocate("uniforms", DType.F64, rows));
    u.set(stream, uniforms);
    DeviceBuffer token = empty(DType.I32, rows);
    sample(buffer(dtype, repeated), rows, logits.length, new Sample.Rule(temperature, topK, topP, excluded, 0, true), 0, u, false,
        new Predictions(token, empty(DType.F32, rows)));
    return token.getInts(stream);
  }

  private static double[] grid(int n) {
    double[] u = new double[n];
    Arrays.setAll(u, i -> (i + 0.5) / n);
    return u;
  }

  /** With n equal logits, id i is drawn for u in [i/kept, (i+1)/kept): the tokens tell which ids were kept. */
  @ParameterizedTest
  @CsvSource({
      "8, 0, 1.0, 8", "8, 3, 1.0, 8", // top-k keeps all ties with the k-th
      "8, 0, 0.25, 3", "8, 0, 0.125, 2", "8, 0, 0.2, 2", "8, 0, 0.9, 8", "8, 0, 0.001, 1", // top-p: mass before at most p, lowest ids
      "300, 0, 0.5, 151", "300, 1, 0.5, 151"})
  void equalLogitsAreKeptFromTheLowestId(int vocab, int topK, float topP, int kept) {
    for (DType dtype : MOST) {
      int each = few() ? Math.max(1, kept / 10) : 1; // every so-manieth id
      double[] uniforms = IntStream.range(0, kept).filter(i -> i % each == 0 || i == kept - 1).mapToDouble(i -> grid(kept)[i]).toArray();
      int[] tokens = draw(dtype, new float[vocab], uniforms, -1, 1f, topK, topP);
      for (int i = 0; i < tokens.length; i++) {
        assertEquals((int) (uniforms[i] * kept), tokens[i], dtype + " of " + kept + " kept");
      }
    }
  }

  @Test
  void zerosOfBothSignsAreTies() {
    float[] logits = {-1f, -0f, 0f, -0f, 0f, -2f};
    for (DType dtype : MOST) {
      int[] tokens = draw(dtype, logits, grid(4), -1, 1f, 1, 1f);
      assertEquals("[1, 2, 3, 4]", Arrays.toString(tokens), dtype.toString());
    }
  }

  @Test
  void excludedAndImpossibleIdsAreNeverDrawn() {
    float[] logits = normal(DType.BF16, 300, 1);
    logits[0] = Float.NEGATIVE_INFINITY;
    logits[299] = Float.NEGATIVE_INFINITY;
    logits[150] = 9; // by far the likeliest, and excluded
    double[] uniforms = grid(few() ? 8 : 64);
    uniforms[0] = 0;
    uniforms[uniforms.length - 1] = Math.nextDown(1.0);
    for (DType dtype : MOST) {
      for (int topK : new int[] {0, 299, 40}) {
        for (int token : draw(dtype, logits, uniforms, 150, 1f, topK, topK == 40 ? 0.9f : 1f)) {
          assertTrue(token != 0 && token != 299 && token != 150, dtype + " drew " + token + ", seed " + seed);
        }
      }
    }
  }

  @ParameterizedTest
  @CsvSource({"BF16, 0.7, 0, 1", "BF16, 1, 9, 1", "F32, 1.3, 0, 0.8", "F32, 1, 20, 0.6"})
  void frequenciesFollowTheDistribution(DType dtype, float temperature, int topK, float topP) {
    int draws = few() ? 60 : 300;
    float[] logits = normal(dtype, 37, 1.5);
    double[] expected = SamplingOracle.distribution(logits, 5, temperature, topK, topP);
    int[] counts = new int[logits.length];
    Arrays.stream(draw(dtype, logits, grid(draws), 5, temperature, topK, topP)).forEach(t -> counts[t]++);
    for (int i = 0; i < counts.length; i++) {
      // uniforms on a grid: every interval of the distribution holds its share up to one draw at either end
      assertEquals(expected[i] * draws, counts[i], 1.01, "id " + i + ", seed " + seed);
    }
  }

  @Test
  void seedsForwardsAndRowsDrawIndependently() {
    int rows = 256;
    int vocab = 16;
    DeviceBuffer logits = buffer(DType.F32, new float[rows * vocab]);
    int[] base = counted(logits, rows, vocab, 7, 0);
    assertEquals(Arrays.toString(base), Arrays.toString(counted(logits, rows, vocab, 7, 0)));
    for (int[] other : new int[][] {counted(logits, rows, vocab, 8, 0), counted(logits, rows, vocab, 7, 1),
        counted(logits, rows, vocab, 7L | 1L << 40, 0)}) {
      int equal = 0;
      for (int r = 0; r < rows; r++) {
        equal += base[r] == other[r] ? 1 : 0;
      }
      // one row in 16 agrees by chance: 16 expected, standard deviation below 4
      assertTrue(equal < 40, equal + " of 256 rows drew the same token");
    }
    assertNotEquals(1, Arrays.stream(base).distinct().count(), "all rows drew the same token");
  }

  private int[] counted(DeviceBuffer logits, int rows, int vocab, long drawSeed, int forward) {
    DeviceBuffer token = empty(DType.I32, rows);
    sample(logits, rows, vocab, new Sample.Rule(1f, 0, 1f, -1, drawSeed, false), forward, null, false,
        new Predictions(token, empty(DType.F32, rows)));
    return token.getInts(stream);
  }

  /** Rows without a distribution are reported by NaN, and their neighbours are not touched by it. */
  @Test
  void badRowsAreNaNAndAlone() {
    int vocab = 70;
    float[] logits = normal(DType.BF16, 5 * vocab, 1);
    logits[vocab + 69] = Float.NaN;
    Arrays.fill(logits, 2 * vocab, 3 * vocab, Float.NEGATIVE_INFINITY);
    logits[3 * vocab + 3] = Float.POSITIVE_INFINITY;
    boolean[] bad = {false, true, true, true, false};
    for (DType dtype : MOST) {
      DeviceBuffer probability = empty(DType.F32, 5);
      DeviceBuffer token = ints(-9, -9, -9, -9, -9);
      sample(buffer(dtype, logits), 5, vocab, new Sample.Rule(0.5f, 5, 0.9f, -1, 1, false), 2, null, false,
          new Predictions(token, probability));
      assertBad("sample " + dtype, bad, probability, token, vocab);
      token = ints(-9, -9, -9, -9, -9);
      kernels.confidence.launch(stream, buffer(dtype, logits),
          new Predictions(token, probability, empty(DType.F32, 5), empty(DType.F32, 5)), 5, vocab, -1);
      assertBad("confidence " + dtype, bad, probability, token, vocab);
    }
  }

  private void assertBad(String what, boolean[] bad, DeviceBuffer probability, DeviceBuffer token, int vocab) {
    float[] p = probability.getFloats(stream);
    int[] t = token.getInts(stream);
    for (int r = 0; r < bad.length; r++) {
      assertEquals(bad[r], Float.isNaN(p[r]), what + " row " + r + ": " + p[r]);
      assertTrue(t[r] >= 0 && t[r] < vocab, what + " row " + r + ": token " + t[r]); // an index that cannot hurt later kernels
    }
  }

  @Test
  void confidenceGivesMaximumAndSumOfEveryRow() {
    for (DType dtype : MOST) {
      for (int vocab : new int[] {1, 9, 2047, 2056, 4999}) {
        float[] logits = normal(dtype, 3 * vocab, 4);
        DeviceBuffer max = empty(DType.F32, 3);
        DeviceBuffer sum = empty(DType.F32, 3);
        kernels.confidence.launch(stream, buffer(dtype, logits), new Predictions(empty(DType.I32, 3), empty(DType.F32, 3), max, sum), 3,
            vocab, -1);
        for (int r = 0; r < 3; r++) {
          float[] row = Arrays.copyOfRange(logits, r * vocab, (r + 1) * vocab);
          float top = row[SamplingOracle.mostLikely(row, -1).token()];
          double expected = SamplingOracle.sumExp(row, -1, top);
          assertEquals(top, max.getFloats(stream)[r], 0f);
          assertEquals(expected, sum.getFloats(stream)[r], 2e-6 * expected, dtype + " vocab " + vocab + " row " + r + ", seed " + seed);
        }
      }
    }
  }

  /** Few distinct values: every thread, warp and piece meets the maximum, and only the first id counts. */
  @Test
  void theFirstOfManyMaximaWins() {
    for (DType dtype : MOST) {
      for (int vocab : new int[] {17, 256, 2048, 5000}) {
        float[] logits = new float[6 * vocab];
        for (int i = 0; i < logits.length; i++) {
          logits[i] = random.nextInt(3) - 7;
        }
        for (int excluded : new int[] {-1, 0, 3, vocab - 1}) {
          DeviceBuffer token = empty(DType.I32, 6);
          kernels.confidence.launch(stream, buffer(dtype, logits),
              new Predictions(token, empty(DType.F32, 6), empty(DType.F32, 6), empty(DType.F32, 6)), 6, vocab, excluded);
          int[] tokens = token.getInts(stream);
          for (int r = 0; r < 6; r++) {
            int expected = SamplingOracle.mostLikely(Arrays.copyOfRange(logits, r * vocab, (r + 1) * vocab), excluded).token();
            assertEquals(expected, tokens[r], dtype + " vocab " + vocab + " excluded " + excluded + " row " + r + ", seed " + seed);
          }
        }
      }
    }
  }
}
