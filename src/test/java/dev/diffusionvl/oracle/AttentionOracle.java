// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.oracle;

/** softmax(q kᵀ · scale) v over a list of visible slots, in double. */
public final class AttentionOracle {
  private AttentionOracle() {}

  /** One query head; k and v are [slots, dim] planes that start at {@code plane}. */
  public static double[] head(float[] q, int at, float[] k, float[] v, int plane, int[] slots, int dim, double scale) {
    double[] scores = new double[slots.length];
    double maximum = Double.NEGATIVE_INFINITY;
    for (int j = 0; j < slots.length; j++) {
      for (int d = 0; d < dim; d++) {
        scores[j] += (double) q[at + d] * k[plane + slots[j] * dim + d];
      }
      scores[j] *= scale;
      maximum = Math.max(maximum, scores[j]);
    }
    double sum = 0;
    double[] out = new double[dim];
    for (int j = 0; j < slots.length; j++) {
      double p = Math.exp(scores[j] - maximum);
      sum += p;
      for (int d = 0; d < dim; d++) {
        out[d] += p * v[plane + slots[j] * dim + d];
      }
    }
    for (int d = 0; d < dim && slots.length > 0; d++) {
      out[d] /= sum;
    }
    return out;
  }
}
