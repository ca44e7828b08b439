// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.oracle;

/** Rotary embeddings: the language model's (spec 6, all in the model's dtype) and the vision tower's (spec 5.1, f32, one rounding). */
public final class RotaryOracle {
  private RotaryOracle() {}

  /** Rotates the head that starts at x[at]; the result has headDim elements. */
  public static double[] text(double[] x, int at, int headDim, float[] cos, float[] sin, int tableRow, Rounding t) {
    int half = headDim / 2;
    double[] y = new double[headDim];
    for (int j = 0; j < half; j++) {
      double c = t.of(cos[tableRow * half + j]);
      double s = t.of(sin[tableRow * half + j]);
      y[j] = t.of(t.of(x[at + j] * c) - t.of(x[at + half + j] * s));
      y[half + j] = t.of(t.of(x[at + half + j] * c) + t.of(x[at + j] * s));
    }
    return y;
  }

  public static double[] vision(double[] x, int at, int headDim, float[] cos, float[] sin, int row, Rounding t) {
    int half = headDim / 2;
    double[] y = new double[headDim];
    for (int j = 0; j < half; j++) {
      double c = cos[row * half + j];
      double s = sin[row * half + j];
      y[j] = t.of(x[at + j] * c - x[at + half + j] * s);
      y[half + j] = t.of(x[at + half + j] * c + x[at + j] * s);
    }
    return y;
  }

  /** Rounded accumulators plus bias. */
  public static double[] linear(float[] acc, float[] bias, int width, Rounding t) {
    double[] y = new double[acc.length];
    for (int i = 0; i < y.length; i++) {
      y[i] = t.of(bias == null ? acc[i] : acc[i] + (double) bias[i % width]);
    }
    return y;
  }
}
