// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.oracle;

/** RMSNorm (docs/model.md, "Language model") and LayerNorm (docs/model.md, "SigLIP tower"). */
public final class NormOracle {
  private NormOracle() {}

  public static double[] rmsNorm(float[] x, float[] weight, int rows, int width, double eps, Rounding t) {
    double[] y = new double[rows * width];
    for (int r = 0; r < rows; r++) {
      double squares = 0;
      for (int i = 0; i < width; i++) {
        squares += (double) x[r * width + i] * x[r * width + i];
      }
      double inverse = 1 / Math.sqrt(squares / width + eps);
      for (int i = 0; i < width; i++) {
        y[r * width + i] = t.of(t.of(x[r * width + i] * inverse) * weight[i]);
      }
    }
    return y;
  }

  /** Population variance; one rounding at the end. */
  public static double[] layerNorm(float[] x, float[] weight, float[] bias, int rows, int width, double eps, Rounding t) {
    double[] y = new double[rows * width];
    for (int r = 0; r < rows; r++) {
      double mean = 0;
      for (int i = 0; i < width; i++) {
        mean += x[r * width + i] / (double) width;
      }
      double variance = 0;
      for (int i = 0; i < width; i++) {
        variance += Math.pow(x[r * width + i] - mean, 2) / width;
      }
      for (int i = 0; i < width; i++) {
        y[r * width + i] = t.of((x[r * width + i] - mean) / Math.sqrt(variance + eps) * weight[i] + bias[i]);
      }
    }
    return y;
  }
}
