// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.model;

import dev.diffusionvl.runtime.DeviceBuffer;
import dev.diffusionvl.runtime.Gemm;

/**
 * A linear layer y = x wᵀ + b in one of the formats that weights have on the device; parts may be stacked along out. A format is a record
 * here: how cuBLAS multiplies with it is its {@link #multiply}, which of our own kernels do is what {@link FusedLayers} asks.
 */
public sealed interface Linear {
  /** Output features. */
  int out();

  /** Input features. */
  int in();

  /** [out] in the activations' type, or null. */
  DeviceBuffer bias();

  /**
   * y = x wᵀ by cuBLAS, without the bias.
   *
   * @param x [rows, in]
   * @param y [rows, out], rounded to its own dtype
   */
  void multiply(Gemm gemm, DeviceBuffer x, DeviceBuffer y, int rows);

  /**
   * The gradient of x: dx = dy w.
   *
   * @param dy [rows, out]
   * @param dx [rows, in]
   */
  void inputGradient(Gemm gemm, DeviceBuffer dy, DeviceBuffer dx, int rows);

  /** All weights as numbers of the activations' type. @param weight [out, in] */
  record Dense(DeviceBuffer weight, DeviceBuffer bias) implements Linear {
    @Override
    public int out() {
      return (int) weight.shape()[0];
    }

    @Override
    public int in() {
      return (int) weight.shape()[1];
    }

    @Override
    public void multiply(Gemm gemm, DeviceBuffer x, DeviceBuffer y, int rows) {
      gemm.multiply(x, weight, y, rows, out(), in());
    }

    @Override
    public void inputGradient(Gemm gemm, DeviceBuffer dy, DeviceBuffer dx, int rows) {
      gemm.inputGradient(dy, weight, dx, rows, out(), in());
    }
  }
}
