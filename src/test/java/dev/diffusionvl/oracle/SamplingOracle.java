// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.oracle;

import java.util.Arrays;
import java.util.Comparator;
import java.util.stream.IntStream;

/** Token choice and remasking by sorting (docs/model.md, "Sampling" and "Block-diffusion generation"). */
public final class SamplingOracle {
  private SamplingOracle() {}

  /** A chosen token and its probability. */
  public record Choice(int token, double probability) {}

  /** T = 0: argmax (lowest id) and its softmax; NaN when the row has no distribution. */
  public static Choice mostLikely(float[] logits, int excluded) {
    int best = -1;
    for (int i = 0; i < logits.length; i++) {
      if (i == excluded) {
        continue;
      }
      if (Float.isNaN(logits[i])) {
        return new Choice(-1, Double.NaN);
      }
      if (logits[i] > Float.NEGATIVE_INFINITY && (best < 0 || logits[i] > logits[best])) {
        best = i;
      }
    }
    return best < 0 ? new Choice(-1, Double.NaN) : new Choice(best, 1 / sumExp(logits, excluded, logits[best]));
  }

  /** The logits of a row, −∞ where the token is not legal. @param legal [rows, vocab], or null: all are */
  public static float[] restricted(float[] logits, boolean[] legal, int row) {
    float[] left = logits.clone();
    for (int i = 0; i < left.length && legal != null; i++) {
      left[i] = legal[row * left.length + i] ? left[i] : Float.NEGATIVE_INFINITY;
    }
    return left;
  }

  /** Σ exp(l − maximum) over all ids but {@code excluded}. */
  public static double sumExp(float[] logits, int excluded, double maximum) {
    double sum = 0;
    for (int i = 0; i < logits.length; i++) {
      sum += i == excluded ? 0 : Math.exp(logits[i] - maximum);
    }
    return sum;
  }

  /** What T > 0 draws from: temperature, top-k (ties kept), top-p (mass before an entry at most p, ties by id); sums to 1. */
  public static double[] distribution(float[] logits, int excluded, float temperature, int topK, float topP) {
    int n = logits.length;
    float[] l = new float[n];
    double maximum = Double.NEGATIVE_INFINITY;
    for (int i = 0; i < n; i++) {
      float scaled = temperature == 1 ? logits[i] : logits[i] / temperature;
      l[i] = i == excluded ? Float.NEGATIVE_INFINITY : scaled + 0f; // no -0: it would sort below 0
      maximum = Math.max(maximum, l[i]);
    }
    Integer[] order = IntStream.range(0, n).boxed().toArray(Integer[]::new);
    Arrays.sort(order, Comparator.comparingDouble((Integer i) -> -l[i]).thenComparing(i -> i));
    double[] weight = new double[n];
    for (int i = 0; i < n; i++) {
      boolean kept = topK <= 0 || topK >= n || l[i] >= l[order[topK - 1]];
      weight[i] = kept ? Math.exp(l[i] - maximum) : 0;
    }
    if (topP < 1) {
      double limit = topP * Arrays.stream(weight).sum();
      double before = 0;
      for (int i : order) {
        double own = weight[i];
        weight[i] = before > limit ? 0 : own;
        before += own;
      }
    }
    double total = Arrays.stream(weight).sum();
    return Arrays.stream(weight).map(w -> w / total).toArray();
  }

  /** The first id in vocabulary order whose cumulative probability exceeds {@code uniform}. */
  public static int choose(double[] distribution, double uniform) {
    double cumulative = 0;
    int token = -1;
    for (int i = 0; i < distribution.length && cumulative <= uniform; i++) {
      cumulative += distribution[i];
      token = distribution[i] > 0 ? i : token;
    }
    return token;
  }

  /** The token that {@code uniform} draws, and its probability: in the distribution, or under the unmodified logits. */
  public static Choice sample(float[] logits, int excluded, float temperature, int topK, float topP, double uniform, boolean original) {
    double[] distribution = distribution(logits, excluded, temperature, topK, topP);
    int token = choose(distribution, uniform);
    return new Choice(token, original ? original(logits, token) : distribution[token]);
  }

  /** Softmax of the unmodified logits at {@code token}. */
  public static double original(float[] logits, int token) {
    double top = Double.NEGATIVE_INFINITY;
    for (float x : logits) {
      top = Math.max(top, x);
    }
    return Math.exp(logits[token] - top) / sumExp(logits, -1, top);
  }

  /** Rows committed by one step: masked rows in order of falling confidence, ties by position. */
  public static boolean[] committed(float[] probability, int[] masked, int quota, boolean dynamic, float threshold) {
    boolean[] take = new boolean[masked.length];
    int[] open = IntStream.range(0, masked.length).filter(i -> masked[i] != 0).toArray();
    long above = Arrays.stream(open).filter(i -> probability[i] > threshold).count();
    if (dynamic && above >= quota) {
      Arrays.stream(open).filter(i -> probability[i] > threshold).forEach(i -> take[i] = true);
    } else {
      Arrays.stream(open).boxed().sorted(Comparator.comparingDouble((Integer i) -> -probability[i]).thenComparing(i -> i)).limit(quota)
          .forEach(i -> take[i] = true);
    }
    return take;
  }
}
