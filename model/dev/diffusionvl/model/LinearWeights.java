// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.model;

import dev.diffusionvl.runtime.DeviceBuffer;

/** A linear layer y = x wᵀ + b as kernels use it: weight [out,in], bias [out] or null; parts may be stacked along out. */
record LinearWeights(DeviceBuffer weight, DeviceBuffer bias) {
  int out() {
    return (int) weight.shape()[0];
  }

  int in() {
    return (int) weight.shape()[1];
  }
}
