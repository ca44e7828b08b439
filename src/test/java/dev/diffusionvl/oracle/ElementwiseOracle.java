// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.oracle;

/** Ends of linear layers: bias, SwiGLU, residual, GELU (docs/model.md, "Language model": rounding). */
public final class ElementwiseOracle {
  private ElementwiseOracle() {}

  private static double linear(float acc, float[] bias, int column, Rounding t) {
    return t.of(bias == null ? acc : acc + (double) bias[column]);
  }

  public static double[] swiglu(float[] gateUp, float[] bias, int rows, int inter, Rounding t) {
    double[] y = new double[rows * inter];
    for (int r = 0; r < rows; r++) {
      for (int i = 0; i < inter; i++) {
        double g = linear(gateUp[r * 2 * inter + i], bias, i, t);
        double u = linear(gateUp[r * 2 * inter + inter + i], bias, inter + i, t);
        y[r * inter + i] = t.of(t.of(g / (1 + Math.exp(-g))) * u);
      }
    }
    return y;
  }

  public static double[] residual(float[] h, float[] acc, float[] bias, int rows, int width, Rounding t) {
    double[] y = new double[rows * width];
    for (int i = 0; i < y.length; i++) {
      y[i] = t.of(h[i] + linear(acc[i], bias, i % width, t));
    }
    return y;
  }

  public static double[] activation(float[] acc, float[] bias, int rows, int width, int activation, Rounding t) {
    double[] y = new double[rows * width];
    for (int i = 0; i < y.length; i++) {
      double x = linear(acc[i], bias, i % width, t);
      y[i] = t.of(switch (activation) {
        case 1 -> 0.5 * x * (1 + erf(x / Math.sqrt(2)));
        case 2 -> 0.5 * x * (1 + Math.tanh(Math.sqrt(2 / Math.PI) * (x + 0.044715 * x * x * x)));
        default -> x;
      });
    }
    return y;
  }

  /** erf by its Taylor series for small and a continued fraction for large arguments; error below 1e-13. */
  public static double erf(double x) {
    double a = Math.abs(x);
    if (a < 2.5) {
      double term = a;
      double sum = a;
      for (int n = 1; Math.abs(term) > 1e-17 * sum; n++) {
        term *= -a * a / n;
        sum += term / (2 * n + 1);
      }
      return Math.signum(x) * 2 / Math.sqrt(Math.PI) * sum;
    }
    double fraction = 0;
    for (int n = 60; n > 0; n--) {
      fraction = n / 2.0 / (a + fraction);
    }
    return Math.signum(x) * (1 - Math.exp(-a * a) / (Math.sqrt(Math.PI) * (a + fraction)));
  }
}
