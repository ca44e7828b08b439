// SPDX-License-Identifier: Apache-2.0
// RMSNorm, the QKV product, bias, rotary embedding and the write of K and V into the cache in one pass for few rows (skinny.cuh).
//
// Shape   h [rows, k] before the norm, squares f32 [rows, ceil(k / 128)] its sums of squares, norm [k], w [(heads + 2 kv_heads) * 128, k]
//         (all q, then k, then v), bias of that length or null, cos and sin f32 [positions, 64]; q [rows of the pass, heads, 128], caches
//         [kv_heads, slots, 128], or codes with scales as in rope_kv_append. Heads have 128 dimensions.
// Floor   w read once.
// Idea    a tile is a head, so both halves of every rotated pair are in it. A row's position and cache slot come from its segment.
// Rounds  the normalised value and its product with the norm's weight; acc + bias; then as rope_kv_append.
#pragma once
#include "e4m3.cuh"
#include "rounding.cuh"
#include "rows.cuh"
#include "segment.cuh"
#include "skinny.cuh"

namespace {

constexpr int kHalf = dvl::kTile / 2;

template <class T>
struct RotateAndStore {
  const T* bias;
  const float* cos;
  const float* sin;
  const Segment* segments;
  T* q;
  void* keys;
  void* values;
  float* key_scales;  // null: keys and values are numbers of T
  float* value_scales;
  int first_row, segment_count, heads, kv_heads, slots;

  // The segment of a row of the pass, or -1; the whole warp looks.
  __device__ __forceinline__ int segment_of(int row) const {
    for (int first = 0; first < segment_count; first += 32) {
      const int s = first + int(threadIdx.x) % 32;
      const bool inside = s < segment_count && row >= segments[s].row && row < segments[s].row + segments[s].rows;
      const unsigned found = dvl::ballot(inside);
      if (found != 0) return first + __ffs(int(found)) - 1;
    }
    return -1;
  }

  // Where a row belongs: what takes two loads, one after the other.
  struct Operands {
    int slot, position;  // of the cache, of the angles; slot -1: no segment has the row
  };
  __device__ __forceinline__ Operands ask(int launch_row, int) const {
    const int row = first_row + launch_row, s = segment_of(row);
    if (s < 0) return {-1, 0};
    const int i = row - segments[s].row;
    return {segments[s].slot + i, segments[s].position + i};
  }

  __device__ __forceinline__ void operator()(int launch_row, int head, const float* columns, const Operands& own) const {
    if (own.slot < 0) return;
    const int row = first_row + launch_row, j = int(threadIdx.x) % 32 * 2;
    float a[2], b[2];
    dvl::load<2>(columns + j, a);
    dvl::load<2>(columns + kHalf + j, b);
    if (bias != nullptr) {
      float bias_a[2], bias_b[2];
      dvl::load<2>(bias + head * dvl::kTile + j, bias_a);
      dvl::load<2>(bias + head * dvl::kTile + kHalf + j, bias_b);
#pragma unroll
      for (int m = 0; m < 2; m++) a[m] += bias_a[m], b[m] += bias_b[m];
    }
#pragma unroll
    for (int m = 0; m < 2; m++) a[m] = dvl::round_to<T>(a[m]), b[m] = dvl::round_to<T>(b[m]);
    const bool query = head < heads, key = head < heads + kv_heads;
    if (key) {
      const int64_t angle = int64_t(own.position) * kHalf + j;
      float c[2], d[2];
      dvl::load<2>(cos + angle, c);
      dvl::load<2>(sin + angle, d);
#pragma unroll
      for (int m = 0; m < 2; m++) dvl::rotate_pair<T>(a[m], b[m], c[m], d[m]);
    }
    const int64_t at = query ? int64_t(row) * heads + head : int64_t(head - heads - (key ? 0 : kv_heads)) * slots + own.slot;
    if (!query && key_scales != nullptr) {
      dvl::store_codes<T>(static_cast<unsigned char*>(key ? keys : values) + at * dvl::kTile, (key ? key_scales : value_scales) + at, a, b);
      return;
    }
    T* const to = (query ? q : static_cast<T*>(key ? keys : values)) + at * dvl::kTile;
    dvl::store<2>(to + j, a);
    dvl::store<2>(to + kHalf + j, b);
  }
};

}  // namespace

#define SKINNY_QKV(M, T, FORM, suffix)                                                                                                \
  extern "C" __global__ void __launch_bounds__(DVL_THREADS_##FORM, dvl::kSkinnyResident<M>)                                           \
      skinny_qkv_m##M##_##suffix(const T* h, const float* squares, const T* norm, float eps, DVL_PARAMETERS_##FORM(T), const T* bias, \
                                 const float* cos, const float* sin, const Segment* segments, T* q, void* keys, void* values,         \
                                 float* key_scales, float* value_scales, float* partials, unsigned* arrived, int first_row, int rows, \
                                 int segment_count, int heads, int kv_heads, int slots, int k, int span) {                            \
    DVL_PRODUCT_##FORM<M, false, true>(                                                                                               \
        dvl::product(h, DVL_WEIGHTS_##FORM(T), rows, (heads + 2 * kv_heads) * dvl::kTile, k), {norm, squares, eps},                   \
        {partials, arrived, span},                                                                                                    \
        RotateAndStore<T>{bias, cos, sin, segments, q, keys, values, key_scales, value_scales, first_row, segment_count, heads,       \
                          kv_heads, slots});                                                                                          \
  }                                                                                                                                   \
  DVL_EXPORT(skinny_qkv_m##M##_##suffix);
