// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.oracle;

import java.util.Map;

/** A checkpoint's tensors by canonical name, in double, and the layers that whole-model oracles are made of. */
public record TensorMap(Map<String, double[]> tensors) {

  double[] get(String name) {
    double[] values = tensors.get(name);
    if (values == null) {
      throw new IllegalArgumentException("no tensor " + name);
    }
    return values;
  }

  /** y = x wᵀ + b over rows of {@code in} numbers; the bias is left out where the checkpoint has none. */
  double[] linear(String name, double[] x, int in) {
    double[] w = get(name + ".weight");
    double[] b = tensors.get(name + ".bias");
    int out = w.length / in;
    int rows = x.length / in;
    double[] y = new double[rows * out];
    for (int r = 0; r < rows; r++) {
      for (int o = 0; o < out; o++) {
        double sum = b == null ? 0 : b[o];
        for (int i = 0; i < in; i++) {
          sum += x[r * in + i] * w[o * in + i];
        }
        y[r * out + o] = sum;
      }
    }
    return y;
  }

  static void add(double[] x, double[] y) {
    for (int i = 0; i < x.length; i++) {
      x[i] += y[i];
    }
  }

  /** Which keys a query sees. */
  interface Mask {
    boolean sees(int query, int key);
  }

  /** softmax(q kᵀ / √dim) v; q [rows][heads][dim], k and v [rows][kvHeads][dim]; query head h reads kv head h / (heads / kvHeads). */
  static double[] attention(double[] q, double[] k, double[] v, int heads, int kvHeads, int dim, Mask mask) {
    int rows = q.length / (heads * dim);
    double[] out = new double[q.length];
    double[] p = new double[rows];
    for (int i = 0; i < rows; i++) {
      for (int h = 0; h < heads; h++) {
        int at = (i * heads + h) * dim;
        int kv = h / (heads / kvHeads);
        double maximum = Double.NEGATIVE_INFINITY;
        for (int j = 0; j < rows; j++) {
          p[j] = Double.NEGATIVE_INFINITY;
          if (mask.sees(i, j)) {
            p[j] = 0;
            for (int d = 0; d < dim; d++) {
              p[j] += q[at + d] * k[(j * kvHeads + kv) * dim + d] / Math.sqrt(dim);
            }
            maximum = Math.max(maximum, p[j]);
          }
        }
        double sum = 0;
        for (int j = 0; j < rows; j++) {
          p[j] = Math.exp(p[j] - maximum);
          sum += p[j];
        }
        for (int j = 0; j < rows; j++) {
          for (int d = 0; d < dim; d++) {
            out[at + d] += p[j] / sum * v[(j * kvHeads + kv) * dim + d];
          }
        }
      }
    }
    return out;
  }
}
