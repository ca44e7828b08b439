// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.oracle;

/** RMSNorm of spec 5.1, last paragraph. */
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
}
