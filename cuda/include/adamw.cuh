// SPDX-License-Identifier: Apache-2.0
// A step of AdamW (Loshchilov and Hutter, 2019) for one element, whatever its moments are stored in.
#pragma once
#include "dvl.cuh"

namespace dvl {

// c1 and c2 are 1 - b1^t and 1 - b2^t of step t.
struct AdamwStep {
  float rate, b1, b2, eps, decay, c1, c2;

  // `gradient` is scaled already; m and v are the moments.
  __device__ __forceinline__ void update(float gradient, float& weight, float& m, float& v) const {
    m = b1 * m + (1.f - b1) * gradient;
    v = b2 * v + (1.f - b2) * gradient * gradient;
    weight -= rate * decay * weight;
    weight -= rate * (m / c1) / (sqrtf(v / c2) + eps);
  }
};

}  // namespace dvl
