// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.train;

import dev.diffusionvl.model.Linear;
import dev.diffusionvl.runtime.DeviceBuffer;
import dev.diffusionvl.runtime.Gemm;
import dev.diffusionvl.runtime.Stream;
import dev.diffusionvl.runtime.op.Kernels;

/** The way back through linear layers. @param gradients a weight without a place there is not trained */
record LinearGradients(Kernels kernels, Stream stream, Gemm gemm, Twin gradients) {

  /**
   * Adds the gradients of weight and bias where they are trained, and gives that of the layer's input.
   *
   * @param x [rows, in], what the layer was applied to
   * @param dy [rows, out], gradient of its output with the bias
   * @param dx [rows, in], gets the gradient of x; null: it is not wanted
   */
  void backward(Linear w, DeviceBuffer x, DeviceBuffer dy, DeviceBuffer dx, int rows) {
    DeviceBuffer dWeight = w instanceof Linear.Dense dense ? gradients.of(dense.weight()) : null;
    if (dWeight != null) {
      gemm.addWeightGradient(dy, x, dWeight, rows, w.out(), w.in());
    }
    DeviceBuffer dBias = gradients.of(w.bias());
    if (dBias != null) {
      kernels.columnSum.launch(stream, dy, dBias, rows, w.out());
    }
    if (dx != null) {
      w.inputGradient(gemm, dy, dx, rows);
    }
  }
}
