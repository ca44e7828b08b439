// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.oracle;

/**
 * Rotary embeddings: the language model's, all in the model's dtype, and the vision tower's, in f32 (docs/model.md, "Language model" and
 * "Qwen vision tower").
 */
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

  /** As {@link #text}, but every operation is f32 and only the result is rounded to the model's dtype. */
  public static double[] vision(double[] x, int at, int headDim, float[] cos, float[] sin, int row, Rounding t) {
    Rounding f = Rounding.F32;
    int half = headDim / 2;
    double[] y = new double[headDim];
    for (int j = 0; j < half; j++) {
      double c = cos[row * half + j];
      double s = sin[row * half + j];
      y[j] = t.of(f.of(x[at + j] * c) - f.of(x[at + half + j] * s));
      y[half + j] = t.of(f.of(x[at + half + j] * c) + f.of(x[at + j] * s));
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
