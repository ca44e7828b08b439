// SPDX-License-Identifier: Apache-2.0
// h += x w^T for few rows, the instances of every GPU (skinny_residual.cuh).
#include "skinny_f32.cuh"
#include "skinny_residual.cuh"

DVL_SKINNY_INSTANCES(SKINNY_RESIDUAL)

extern "C" __global__ void __launch_bounds__(dvl::kSkinnyThreads, 2)
    skinny_residual_f32(const float* x, const float* w, float* h, float* squares, float*, unsigned*, int rows, int n, int k, int) {
  dvl::skinny_product_f32<false, false>({x, {w}, rows, n, k}, {}, AddToResidual<float>{h, squares, n});
}
DVL_EXPORT(skinny_residual_f32);
