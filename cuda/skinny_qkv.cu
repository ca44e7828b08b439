// SPDX-License-Identifier: Apache-2.0
// RMSNorm, QKV product, rotary embedding, cache for few rows, the instances of every GPU (skinny_qkv.cuh).
#include "skinny_f32.cuh"
#include "skinny_qkv.cuh"

DVL_SKINNY_INSTANCES(SKINNY_QKV)

extern "C" __global__ void __launch_bounds__(dvl::kSkinnyThreads, 2)
    skinny_qkv_f32(const float* h, const float* squares, const float* norm, float eps, const float* w, const float* bias,
                   const float* cos, const float* sin, const Segment* segments, float* q, void* keys, void* values, float* key_scales,
                   float* value_scales, float*, unsigned*, int first_row, int rows, int segment_count, int heads, int kv_heads, int slots,
                   int k, int) {
  dvl::skinny_product_f32<false, true>(
      {h, {w}, rows, (heads + 2 * kv_heads) * dvl::kTile, k}, {norm, squares, eps},
      RotateAndStore<float>{bias, cos, sin, segments, q, keys, values, key_scales, value_scales, first_row, segment_count, heads, kv_heads,
                            slots});
}
DVL_EXPORT(skinny_qkv_f32);
