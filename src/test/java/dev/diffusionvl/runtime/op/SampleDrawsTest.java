// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.runtime.op;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.diffusionvl.runtime.DType;
import dev.diffusionvl.runtime.DeviceBuffer;
import java.util.Arrays;
import org.junit.jupiter.api.Test;

/** Draws of the counter generator as a whole: frequencies, independence, and settings that leave no choice. */
class SampleDrawsTest extends OpTest {
  private record Draws(int[] tokens, float[] probabilities) {}

  private Draws draw(float[] logits, int rows, int excluded, float temperature, int topK, float topP, boolean original,
      long key) {
    DeviceBuffer token = empty(DType.I32, rows);
    DeviceBuffer probability = empty(DType.F32, rows);
    sample(buffer(DType.F32, logits), rows, logits.length / rows, new Sample.Rule(temperature, topK, topP, excluded, key, false), 3, null,
        original, new Predictions(token, probability));
    return new Draws(token.getInts(stream), probability.getFloats(stream));
  }

  private static float[] repeated(float[] row, int rows) {
    float[] all = new float[rows * row.length];
    for (int r = 0; r < rows; r++) {
      System.arraycopy(row, 0, all, r * row.length, row.length);
    }
    return all;
  }

  /** Chi-square over 5 kept ids; 26.1 is passed by 3 of 100000 fair draws, and the generator's key is fixed. */
  @Test
  void frequenciesFollowTheSoftmax() {
    float[] row = {0f, -50f, 1f, 0.5f, -1f, 2f, -60f};
    int rows = few() ? 80 : 800;
    for (float temperature : new float[] {1f, 0.5f, 3f}) {
      double[] weight = new double[row.length];
      for (int i = 0; i < row.length; i++) {
        weight[i] = Math.exp(row[i] / temperature);
      }
      // the two hopeless ids: removed by top-k at temperature 1, below 1e-7 otherwise
      weight[1] = 0;
      weight[6] = 0;
      double total = Arrays.stream(weight).sum();
      Draws draws = draw(repeated(row, rows), rows, -1, temperature, temperature == 1 ? 5 : 0, 1f, false, 17);
      int[] counts = new int[row.length];
      for (int r = 0; r < rows; r++) {
        int t = draws.tokens()[r];
        counts[t]++;
        assertEquals(weight[t] / total, draws.probabilities()[r], 1e-5, "probability of " + t);
      }
      double chiSquare = 0;
      for (int i = 0; i < row.length; i++) {
        double expected = rows * weight[i] / total;
        chiSquare += expected == 0 ? 0 : (counts[i] - expected) * (counts[i] - expected) / expected;
        assertTrue(expected > 0 || counts[i] == 0, "id " + i + " was not kept");
      }
      assertTrue(chiSquare < 26.1, "chi-square " + chiSquare + ": " + Arrays.toString(counts));
    }
  }

  @Test
  void rowsAreIndependentOfEachOther() {
    int rows = few() ? 300 : 3000;
    int[] tokens = draw(new float[rows * 2], rows, -1, 1f, 0, 1f, false, 5).tokens();
    int equal = 0;
    for (int r = 1; r < rows; r++) {
      equal += tokens[r] == tokens[r - 1] ? 1 : 0;
    }
    double bound = 5 * Math.sqrt(rows) / 2; // 5 standard deviations
    assertTrue(Math.abs(equal - rows / 2) < bound, equal + " of " + rows + " neighbours agree");
    int[] other = draw(new float[rows * 2], rows, -1, 1f, 0, 1f, false, 6).tokens();
    int same = 0;
    for (int r = 0; r < rows; r++) {
      same += tokens[r] == other[r] ? 1 : 0;
    }
    assertTrue(Math.abs(same - rows / 2) < bound, same + " of " + rows + " draws of neighbouring seeds agree");
  }

  @Test
  void theExcludedIdIsNeverDrawnButCountsInTheOriginalConfidence() {
    float[] row = {1f, 30f, 1f};
    int rows = few() ? 20 : 200;
    Draws filtered = draw(repeated(row, rows), rows, 1, 1f, 0, 1f, false, 2);
    Draws original = draw(repeated(row, rows), rows, 1, 1f, 0, 1f, true, 2);
    for (int r = 0; r < rows; r++) {
      assertTrue(filtered.tokens()[r] == 0 || filtered.tokens()[r] == 2);
      assertEquals(filtered.tokens()[r], original.tokens()[r]);
      assertEquals(0.5, filtered.probabilities()[r], 1e-6);
      assertEquals(Math.exp(-29), original.probabilities()[r], 1e-5 * Math.exp(-29));
    }
  }

  @Test
  void topPOneIdAndTopKOneAreGreedy() {
    float[] row = normal(DType.F32, 777, 2);
    row[600] = 20;
    for (int r = 0; r < 5; r++) {
      assertEquals(600, draw(row, 1, -1, 1.5f, 1, 1f, false, r).tokens()[0]);
      assertEquals(600, draw(row, 1, -1, 1.5f, 0, 1e-6f, false, r).tokens()[0]);
    }
  }

  /** Weights of which 32 bits hold one and not two: together they are nearly half of what is drawn from. */
  @Test
  void manyUnlikelyIdsCountTogether() {
    float[] row = new float[40000];
    double one = 1.5 / (1 << 16);
    Arrays.fill(row, (float) Math.log(one));
    row[17] = 0;
    double all = 1 + (row.length - 1) * one;
    int rows = 8;
    Draws draws = draw(repeated(row, rows), rows, -1, 1f, 0, 0.99f, false, 3);
    assertTrue(Arrays.stream(draws.tokens()).anyMatch(t -> t != 17), Arrays.toString(draws.tokens()));
    for (int r = 0; r < rows; r++) {
      double weight = draws.tokens()[r] == 17 ? 1 : one;
      assertEquals(weight / (0.99 * all), draws.probabilities()[r], 1e-4 * weight);
    }
  }
}
