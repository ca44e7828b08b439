// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.oracle;

import java.util.function.DoubleUnaryOperator;

/** Gradients of the model's steps in float64, from the formulas in docs/model.md and calculus. */
public final class BackwardOracle {
  private BackwardOracle() {}

  /** A gradient of the input [rows, width], and of the parameters [1 or 2, width]. */
  public record Norm(double[] input, double[] parameters) {}

  public static Norm rmsNorm(float[] x, float[] weight, float[] dy, int rows, int width, double eps) {
    double[] dx = new double[rows * width];
    double[] dw = new double[width];
    for (int r = 0; r < rows; r++) {
      double squares = 0;
      for (int i = 0; i < width; i++) {
        squares += Math.pow(x[r * width + i], 2);
      }
      double mean = squares / width + eps;
      double inverse = Math.pow(mean, -0.5);
      double dInverse = 0; // the inverse depends on every x
      for (int i = 0; i < width; i++) {
        int at = r * width + i;
        dx[at] = dy[at] * (double) weight[i] * inverse;
        dInverse += dy[at] * (double) weight[i] * x[at];
        dw[i] += dy[at] * x[at] * inverse;
      }
      for (int i = 0; i < width; i++) {
        dx[r * width + i] += dInverse * -0.5 * Math.pow(mean, -1.5) * 2 * x[r * width + i] / width;
      }
    }
    return new Norm(dx, dw);
  }

  public static Norm layerNorm(float[] x, float[] weight, float[] dy, int rows, int width, double eps) {
    double[] dx = new double[rows * width];
    double[] parameters = new double[2 * width];
    for (int r = 0; r < rows; r++) {
      double mean = 0;
      for (int i = 0; i < width; i++) {
        mean += x[r * width + i] / (double) width;
      }
      double variance = 0;
      for (int i = 0; i < width; i++) {
        variance += Math.pow(x[r * width + i] - mean, 2) / width;
      }
      double inverse = 1 / Math.sqrt(variance + eps);
      double dVariance = 0;
      double dMean = 0;
      for (int i = 0; i < width; i++) {
        int at = r * width + i;
        double dNormalised = dy[at] * (double) weight[i];
        dVariance += dNormalised * (x[at] - mean) * -0.5 * Math.pow(variance + eps, -1.5);
        dMean -= dNormalised * inverse;
        dx[at] = dNormalised * inverse;
        parameters[i] += dy[at] * (x[at] - mean) * inverse;
        parameters[width + i] += dy[at];
      }
      for (int i = 0; i < width; i++) {
        int at = r * width + i;
        dx[at] += dVariance * 2 * (x[at] - mean) / width + dMean / width;
      }
    }
    return new Norm(dx, parameters);
  }

  public static double[] swiglu(float[] gateUp, float[] dOut, int rows, int inter) {
    double[] gradient = new double[rows * 2 * inter];
    DoubleUnaryOperator silu = g -> g / (1 + Math.exp(-g));
    for (int r = 0; r < rows; r++) {
      for (int i = 0; i < inter; i++) {
        double gate = gateUp[r * 2 * inter + i];
        double up = gateUp[r * 2 * inter + inter + i];
        double d = dOut[r * inter + i];
        gradient[r * 2 * inter + i] = d * up * slope(silu, gate);
        gradient[r * 2 * inter + inter + i] = d * silu.applyAsDouble(gate);
      }
    }
    return gradient;
  }

  /** The derivative by central differences of fourth order: independent of the formula that the kernel uses. */
  public static double slope(DoubleUnaryOperator f, double x) {
    double h = 1e-3;
    return (8 * (f.applyAsDouble(x + h) - f.applyAsDouble(x - h)) - (f.applyAsDouble(x + 2 * h) - f.applyAsDouble(x - 2 * h))) / (12 * h);
  }

  /** log Σ exp − the label's logit, per row. */
  public static double[] crossEntropy(float[] logits, int[] label, int vocab) {
    double[] loss = new double[label.length];
    for (int r = 0; r < label.length; r++) {
      loss[r] = logSumExp(logits, r, vocab) - logits[r * vocab + label[r]];
    }
    return loss;
  }

  /** softmax − onehot, times the weight of the row. */
  public static double[] crossEntropyGradient(float[] logits, int[] label, float[] weight, int vocab) {
    double[] gradient = new double[label.length * vocab];
    for (int r = 0; r < label.length; r++) {
      double total = logSumExp(logits, r, vocab);
      for (int i = 0; i < vocab; i++) {
        gradient[r * vocab + i] = weight[r] * (Math.exp(logits[r * vocab + i] - total) - (i == label[r] ? 1 : 0));
      }
    }
    return gradient;
  }

  private static double logSumExp(float[] logits, int row, int vocab) {
    double maximum = Double.NEGATIVE_INFINITY;
    for (int i = 0; i < vocab; i++) {
      maximum = Math.max(maximum, logits[row * vocab + i]);
    }
    double sum = 0;
    for (int i = 0; i < vocab; i++) {
      sum += Math.exp(logits[row * vocab + i] - maximum);
    }
    return maximum + Math.log(sum);
  }
}
