// SPDX-License-Identifier: Apache-2.0
// Final RMSNorm, head, most likely token for few rows, the instances of every GPU (skinny_confidence.cuh).
#include "skinny_f32.cuh"
#include "skinny_confidence.cuh"

DVL_SKINNY_INSTANCES(SKINNY_CONFIDENCE)

extern "C" __global__ void __launch_bounds__(dvl::kSkinnyThreads, 2)
    skinny_confidence_f32(const float* h, const float* squares, const float* norm, float eps, const float* w, dvl::Best* parts, int* token,
                          float* probability, float* row_max, float* row_sumexp, float*, unsigned* arrived, int rows, int vocab, int k,
                          int excluded, int, const unsigned* legal) {
  dvl::skinny_product_f32<false, true>({h, {w}, rows, vocab, k}, {norm, squares, eps}, KeepBest<float>{parts, vocab, excluded, legal});
  if (dvl::last_block(arrived, gridDim.x * gridDim.y)) merge_rows(parts, {token, probability, row_max, row_sumexp}, rows, vocab);
}
DVL_EXPORT(skinny_confidence_f32);
