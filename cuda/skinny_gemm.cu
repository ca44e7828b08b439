// SPDX-License-Identifier: Apache-2.0
// y = x w^T for few rows, the instances of every GPU (skinny_gemm.cuh).
#include "skinny_f32.cuh"
#include "skinny_gemm.cuh"

DVL_SKINNY_INSTANCES(SKINNY_GEMM)

extern "C" __global__ void __launch_bounds__(dvl::kSkinnyThreads, 2)
    skinny_gemm_f32(const float* x, const float* w, float* acc, float* y, float*, unsigned*, int rows, int n, int k, int) {
  dvl::skinny_product_f32<false, false>({x, {w}, rows, n, k}, {}, Store<float>{acc, y, n});
}
DVL_EXPORT(skinny_gemm_f32);
