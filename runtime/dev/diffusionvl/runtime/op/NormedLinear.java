// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.runtime.op;

import dev.diffusionvl.runtime.DeviceBuffer;

/**
 * The weights of an RMSNorm and of the linear layer behind it, which one kernel computes: y = weight · rms_norm(x) + bias.
 *
 * @param norm BF16, F16 or F32 [in]: the norm's weight, 16-byte aligned
 * @param eps of the norm
 * @param weight numbers of the dtype of norm, or packed with a norm in BF16 or F16
 * @param bias dtype of norm [out], 16-byte aligned; null: none
 */
public record NormedLinear(DeviceBuffer norm, float eps, WeightMatrix weight, DeviceBuffer bias) {
  /** With the dense matrix {@code weight} [out, in]. */
  public NormedLinear(DeviceBuffer norm, float eps, DeviceBuffer weight, DeviceBuffer bias, int out, int in) {
    this(norm, eps, new WeightMatrix.Dense(weight, out, in), bias);
  }

  /** Rows of the weight. */
  public int out() {
    return weight.out();
  }

  /** Columns of the weight. */
  public int in() {
    return weight.in();
  }
}
