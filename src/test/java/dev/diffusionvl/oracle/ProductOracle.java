// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.oracle;

/** Matrix products in float64. */
public final class ProductOracle {
  private ProductOracle() {}

  /** y[rows, n] = x[rows, k] · w[n, k]ᵀ, not rounded. */
  public static double[] product(double[] x, float[] w, int rows, int n, int k) {
    double[] y = new double[rows * n];
    for (int r = 0; r < rows; r++) {
      for (int c = 0; c < n; c++) {
        double sum = 0;
        for (int i = 0; i < k; i++) {
          sum += x[r * k + i] * w[c * k + i];
        }
        y[r * n + c] = sum;
      }
    }
    return y;
  }

  /** The same of floats. */
  public static double[] product(float[] x, float[] w, int rows, int n, int k) {
    double[] wide = new double[x.length];
    for (int i = 0; i < x.length; i++) {
      wide[i] = x[i];
    }
    return product(wide, w, rows, n, k);
  }
}
