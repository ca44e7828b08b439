// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.runtime;

/** y = x · wᵀ with row-major operands as checkpoints store them: cuBLAS, our own kernels, or a choice between them. */
public interface MatrixProduct {
  /**
   * Queues the product; f32 accumulation, never TF32.
   *
   * @param x [m,k], BF16 or F32
   * @param w [n,k], dtype of x
   * @param y [m,n]; dtype of x (rounded once) or F32 (the accumulators)
   * @throws IllegalArgumentException naming the argument that does not fit
   */
  void multiply(DeviceBuffer x, DeviceBuffer w, DeviceBuffer y, int m, int n, int k);
}
