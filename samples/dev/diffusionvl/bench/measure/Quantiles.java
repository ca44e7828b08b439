// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.bench.measure;

import java.util.Arrays;

/** Median, 10th and 90th percentile of some times. */
public record Quantiles(double median, double p10, double p90) {
  /** Linear interpolation between ranks. */
  public static Quantiles of(double... values) {
    double[] sorted = values.clone();
    Arrays.sort(sorted);
    return new Quantiles(at(sorted, 0.5), at(sorted, 0.1), at(sorted, 0.9));
  }

  /** Any percentile of values in ascending order. */
  public static double at(double[] sorted, double quantile) {
    double rank = quantile * (sorted.length - 1);
    int low = (int) rank;
    int high = Math.min(low + 1, sorted.length - 1);
    return sorted[low] + (rank - low) * (sorted[high] - sorted[low]);
  }

  public Quantiles times(double factor) {
    return new Quantiles(median * factor, p10 * factor, p90 * factor);
  }
}
