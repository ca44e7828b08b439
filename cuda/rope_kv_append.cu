// SPDX-License-Identifier: Apache-2.0
// Bias, rotary position embedding and KV append in one pass over the QKV product.
//
// Shape   qkv f32 [rows, (heads + 2 kv_heads) * D] (all q, then k, then v), bias of that width or null, cos and sin f32
//         [positions, D / 2]; q [rows, heads, D], caches [kv_heads, slots, D]; or E4M3 codes (e4m3.cuh) with scales f32 [kv_heads, slots],
//         which are null otherwise. Then D = 128.
// Floor   the product read once, q, k and v written once.
// Idea    one block per row of a segment; a thread owns the pair (i, i + D/2) of a head, so the rotation needs no exchange. K and V go
//         straight to the row's cache slot: storing a finished block is advancing a length, nothing is copied. Codes need the largest of
//         a head's numbers: a warp has a head.
// Rounds  acc + bias; then, as the reference does in the model's dtype, cos, sin, both products and their sum; codes once more.
#include "dvl.cuh"
#include "e4m3.cuh"
#include "rounding.cuh"
#include "segment.cuh"

namespace {

constexpr int kThreads = 128;

template <class T>
__device__ __forceinline__ void rope_kv_append(const float* qkv, const T* bias, const float* cos, const float* sin,
                                               const Segment* segments, T* q, void* keys, void* values, float* key_scales,
                                               float* value_scales, int heads, int kv_heads, int head_dim, int slots) {
  const Segment segment = segments[blockIdx.y];
  const int i = blockIdx.x;
  if (i >= segment.rows) return;
  const int half = head_dim / 2;
  const int all_heads = heads + 2 * kv_heads;
  const int64_t row = segment.row + i;
  const int64_t slot = segment.slot + i;
  const float* source = qkv + row * all_heads * head_dim;
  const float* c_row = cos + int64_t(segment.position + i) * half;
  const float* s_row = sin + int64_t(segment.position + i) * half;

  T* const k_cache = static_cast<T*>(keys);
  T* const v_cache = static_cast<T*>(values);
  const bool codes = key_scales != nullptr;
  for (int pair = threadIdx.x; pair < (codes ? heads : all_heads) * half; pair += kThreads) {
    const int head = pair / half, j = pair % half;
    const int column = head * head_dim + j;
    float a, b;
    dvl::load_pair(source, bias, column, half, a, b);
    T* to;
    if (head < heads) {
      to = q + (row * heads + head) * head_dim;
    } else if (head < heads + kv_heads) {
      to = k_cache + (int64_t(head - heads) * slots + slot) * head_dim;
    } else {
      to = v_cache + (int64_t(head - heads - kv_heads) * slots + slot) * head_dim;
    }
    if (head < heads + kv_heads) dvl::rotate_pair<T>(a, b, c_row[j], s_row[j]);
    to[j] = dvl::from_float<T>(a);
    to[j + half] = dvl::from_float<T>(b);
  }
  if (!codes) return;
  for (int head = heads + int(threadIdx.x) / 32; head < all_heads; head += kThreads / 32) {
    const bool key = head < heads + kv_heads;
    float a[2], b[2];
#pragma unroll
    for (int m = 0; m < 2; m++) {
      const int j = int(threadIdx.x) % 32 * 2 + m;
      dvl::load_pair(source, bias, head * dvl::kCodedHead + j, dvl::kCodedHead / 2, a[m], b[m]);
      if (key) dvl::rotate_pair<T>(a[m], b[m], c_row[j], s_row[j]);
    }
    const int64_t at = int64_t(head - heads - (key ? 0 : kv_heads)) * slots + slot;
    unsigned char* const to = static_cast<unsigned char*>(key ? keys : values) + at * dvl::kCodedHead;
    dvl::store_codes<T>(to, (key ? key_scales : value_scales) + at, a, b);
  }
}

}  // namespace

#define ROPE_KV_APPEND(T, suffix)                                                                                           \
  extern "C" __global__ void __launch_bounds__(kThreads)                                                                    \
      rope_kv_append_##suffix(const float* qkv, const T* bias, const float* cos, const float* sin, const Segment* segments, \
                              T* q, void* keys, void* values, float* key_scales, float* value_scales, int heads,            \
                              int kv_heads, int head_dim, int slots) {                                                      \
    rope_kv_append(qkv, bias, cos, sin, segments, q, keys, values, key_scales, value_scales, heads, kv_heads, head_dim,     \
                   slots);                                                                                                  \
  }                                                                                                                         \
  DVL_EXPORT(rope_kv_append_##suffix)

ROPE_KV_APPEND(bf16, bf16);
ROPE_KV_APPEND(f16, f16);
ROPE_KV_APPEND(float, f32);
