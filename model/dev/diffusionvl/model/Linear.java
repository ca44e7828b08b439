// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.model;

import dev.diffusionvl.runtime.DeviceBuffer;
import dev.diffusionvl.runtime.Gemm;
import dev.diffusionvl.runtime.op.WeightMatrix;

/**
 * A linear layer y = x wᵀ + b in one of the formats that weights have on the device; parts may be stacked along out. Our own kernels take
 * every format; cuBLAS and training need {@link #dense} weights.
 */
public sealed interface Linear {
  /** [out] in the activations' type, or null. */
  DeviceBuffer bias();

  /** The weights as our own products take them. */
  WeightMatrix matrix();

  /** Output features. */
  default int out() {
    return matrix().out();
  }

  /** Input features. */
  default int in() {
    return matrix().in();
  }

  /** This layer, whose weights are numbers of the activations' type. @throws IllegalStateException if they are packed */
  Dense dense();

  /** All weights as numbers of the activations' type. @param weight [out, in] */
  record Dense(DeviceBuffer weight, DeviceBuffer bias) implements Linear {
    @Override
    public WeightMatrix matrix() {
      return new WeightMatrix.Dense(weight, out(), in());
    }

    @Override
    public int out() {
      return (int) weight.shape()[0];
    }

    @Override
    public int in() {
      return (int) weight.shape()[1];
    }

    @Override
    public Dense dense() {
      return this;
    }

    /**
     * y = x wᵀ by cuBLAS, without the bias.
     *
     * @param x [rows, in]
     * @param y [rows, out], rounded to its own dtype
     */
    public void multiply(Gemm gemm, DeviceBuffer x, DeviceBuffer y, int rows) {
      gemm.multiply(x, weight, y, rows, out(), in());
    }

    /**
     * The gradient of x: dx = dy w.
     *
     * @param dy [rows, out]
     * @param dx [rows, in]
     */
    public void inputGradient(Gemm gemm, DeviceBuffer dy, DeviceBuffer dx, int rows) {
      gemm.inputGradient(dy, weight, dx, rows, out(), in());
    }
  }

  /** Weights of eight or four bits with scales, as a quantised checkpoint has them. */
  record Packed(WeightMatrix.Packed matrix, DeviceBuffer bias) implements Linear {
    @Override
    public Dense dense() {
      throw new IllegalStateException("weights of " + matrix.form().bits() + " bits cannot be used as numbers of the activations' type");
    }
  }
}
