// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.train;

import dev.diffusionvl.model.ExpandedWeights;
import dev.diffusionvl.model.Linear;
import dev.diffusionvl.runtime.DeviceBuffer;
import dev.diffusionvl.runtime.Gemm;
import dev.diffusionvl.runtime.Gemm.Form;
import dev.diffusionvl.runtime.Gemm.Matrix;
import dev.diffusionvl.runtime.Stream;
import dev.diffusionvl.runtime.op.Kernels;

/**
 * Linear layers, forward and back, with the low-rank adapters of those that have some:
 *
 * <pre>
 *   forward   u = scale · x Aᵀ     y = x Wᵀ + u Bᵀ
 *   backward  dB += dyᵀ u          v = scale · dy B      dA += vᵀ x      dx = dy W + v A
 * </pre>
 *
 * <p>Where parts are stacked in one weight, each has adapters of its own, and y and dy are the part's columns.
 *
 * @param gradients a weight without a place there is not trained
 * @param adapters null: none
 * @param expanded for packed weights, on the way forward; null: all are dense, as those that are trained are
 */
record LinearTraining(Kernels kernels, Stream stream, Gemm gemm, Twin gradients, Adapters adapters, ExpandedWeights expanded) {
  LinearTraining(Kernels kernels, Stream stream, Gemm gemm, Twin gradients) {
    this(kernels, stream, gemm, gradients, null, null);
  }

  /**
   * y = x wᵀ, without the bias.
   *
   * @param x [rows, in]
   * @param y [rows, out]
   */
  void forward(Linear w, DeviceBuffer x, DeviceBuffer y, int rows) {
    (expanded == null ? w.dense() : expanded.dense(w)).multiply(gemm, x, y, rows);
    if (adapters != null) {
      for (Adapters.Adapter part : adapters.of(w)) {
        add(Form.FORWARD, low(part, x, rows), matrix(part.b()), columns(y, part, w), rows, part.out(), part.rank());
      }
    }
  }

  /**
   * Adds the gradients of weight and bias where they are trained, and gives that of the layer's input.
   *
   * @param x [rows, in], what the layer was applied to
   * @param dy [rows, out], gradient of its output with the bias
   * @param dx [rows, in], gets the gradient of x; null: it is not wanted
   */
  void backward(Linear w, DeviceBuffer x, DeviceBuffer dy, DeviceBuffer dx, int rows) {
    DeviceBuffer dWeight = gradients.of(w.dense().weight());
    if (dWeight != null) {
      gemm.addWeightGradient(dy, x, dWeight, rows, w.out(), w.in());
    }
    DeviceBuffer dBias = gradients.of(w.bias());
    if (dBias != null) {
      kernels.columnSum.launch(stream, dy, dBias, rows, w.out());
    }
    if (dx != null) {
      w.dense().inputGradient(gemm, dy, dx, rows);
    }
    if (adapters != null) {
      for (Adapters.Adapter part : adapters.of(w)) {
        backward(part, x, columns(dy, part, w), dx, rows);
      }
    }
  }

  private void backward(Adapters.Adapter part, DeviceBuffer x, Matrix dy, DeviceBuffer dx, int rows) {
    Matrix dLow = new Matrix(adapters.dLow(), part.rank());
    add(Form.WEIGHT_GRADIENT, dy, low(part, x, rows), matrix(gradients.of(part.b())), rows, part.out(), part.rank());
    gemm.product(Form.INPUT_GRADIENT, dy, matrix(part.b()), dLow, rows, part.out(), part.rank(), adapters.scale(), false);
    add(Form.WEIGHT_GRADIENT, dLow, new Matrix(x, part.in()), matrix(gradients.of(part.a())), rows, part.rank(), part.in());
    if (dx != null) {
      add(Form.INPUT_GRADIENT, dLow, matrix(part.a()), new Matrix(dx, part.in()), rows, part.rank(), part.in());
    }
  }

  /** u = scale · x Aᵀ. */
  private Matrix low(Adapters.Adapter part, DeviceBuffer x, int rows) {
    Matrix low = new Matrix(adapters.low(), part.rank());
    gemm.product(Form.FORWARD, new Matrix(x, part.in()), matrix(part.a()), low, rows, part.rank(), part.in(), adapters.scale(), false);
    return low;
  }

  private void add(Form form, Matrix left, Matrix right, Matrix result, int m, int n, int k) {
    gemm.product(form, left, right, result, m, n, k, 1, true);
  }

  /** What a part has of a layer's output, or of its gradient. */
  private static Matrix columns(DeviceBuffer y, Adapters.Adapter part, Linear w) {
    return new Matrix(y.slice(part.first(), y.elements() - part.first()), w.out());
  }

  private static Matrix matrix(DeviceBuffer whole) {
    return new Matrix(whole, (int) whole.shape()[1]);
  }
}
