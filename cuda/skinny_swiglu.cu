// SPDX-License-Identifier: Apache-2.0
// RMSNorm, gate and up product, SwiGLU for few rows, the instances of every GPU (skinny_swiglu.cuh).
#include "skinny_f32.cuh"
#include "skinny_swiglu.cuh"

DVL_SKINNY_INSTANCES(SKINNY_SWIGLU)

extern "C" __global__ void __launch_bounds__(dvl::kSkinnyThreads, 2)
    skinny_swiglu_f32(const float* h, const float* squares, const float* norm, float eps, const float* w, float* out, float*, unsigned*,
                      int rows, int inter, int k, int) {
  dvl::skinny_product_f32<true, true>({h, {w}, rows, 2 * inter, k}, {norm, squares, eps}, Swiglu<float>{out, inter});
}
DVL_EXPORT(skinny_swiglu_f32);
