// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.oracle;

import java.util.Arrays;
import java.util.Comparator;
import java.util.stream.IntStream;

/** Token choice and remasking of spec 7, by sorting and by the book. */
public final class SamplingOracle {
  private SamplingOracle() {}

  /** A chosen token and its probability. */
  public record Choice(int token, double probability) {}

  /** T = 0: argmax (lowest id) and its softmax; NaN when the row has no distribution. */
  public static Choice mostLikely(float[] logits, int excluded) {
    int best = -1;
    for (int i = 0; i < logits.length; i++) {
      if (Float.isNaN(logits[i])) {
        return new Choice(-1, Double.NaN);
      }
      if (i != excluded && logits[i] > Float.NEGATIVE_INFINITY && (best < 0 || logits[i] > logits[best])) {
        best = i;
      }
    }
    if (best < 0) {
      return new Choice(-1, Double.NaN);
    }
    double sum = 0;
    for (int i = 0; i < logits.length; i++) {
      sum += i == excluded ? 0 : Math.exp((double) logits[i] - logits[best]);
    }
    return new Choice(best, 1 / sum);
  }

  /** T > 0: temperature, top-k (ties kept), top-p (mass before an entry at most p, ties by id), inverse CDF in id order. */
  public static Choice sample(float[] logits, int excluded, float temperature, int topK, float topP, double uniform, boolean original) {
    int n = logits.length;
    float[] l = new float[n];
    double maximum = Double.NEGATIVE_INFINITY;
    for (int i = 0; i < n; i++) {
      l[i] = i == excluded ? Float.NEGATIVE_INFINITY : temperature == 1 ? logits[i] : logits[i] / temperature;
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
      double total = Arrays.stream(weight).sum();
      double before = 0;
      for (int i : order) {
        double own = weight[i];
        if (before > (double) topP * total) {
          weight[i] = 0;
        }
        before += own;
      }
    }
    double total = Arrays.stream(weight).sum();
    double cumulative = 0;
    int token = -1;
    for (int i = 0; i < n && cumulative <= uniform * total; i++) {
      cumulative += weight[i];
      token = weight[i] > 0 ? i : token;
    }
    if (!original) {
      return new Choice(token, weight[token] / total);
    }
    double top = Double.NEGATIVE_INFINITY;
    for (float x : logits) {
      top = Math.max(top, x);
    }
    double sum = 0;
    for (float x : logits) {
      sum += Math.exp(x - top);
    }
    return new Choice(token, Math.exp(logits[token] - top) / sum);
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
