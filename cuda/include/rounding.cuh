// SPDX-License-Identifier: Apache-2.0
// Elementwise steps of the model with the reference's rounding points, for the plain kernels and for the epilogues of products:
// what is the same step has the same bits wherever it is done.
#pragma once
#include "dvl.cuh"
#include "rows.cuh"

namespace dvl {

// A product that is rounded, in the f32 instance too: the compiler must not fuse it into the sum that follows.
template <class T>
__device__ __forceinline__ float rounded_product(float a, float b) {
  return round_to<T>(__fmul_rn(a, b));
}

// The pair (a, b) of columns `column` and `column` + half of a product with an optional bias, rounded.
template <class T>
__device__ __forceinline__ void load_pair(const float* row, const T* bias, int column, int half, float& a, float& b) {
  a = row[column];
  b = row[column + half];
  if (bias != nullptr) {
    a += to_float(bias[column]);
    b += to_float(bias[column + half]);
  }
  a = round_to<T>(a);
  b = round_to<T>(b);
}

// Rotary embedding of the pair (a, b) = (x[i], x[i + D / 2]); cos, sin, products and sums are rounded.
template <class T>
__device__ __forceinline__ void rotate_pair(float& a, float& b, float cos, float sin) {
  const float c = round_to<T>(cos), s = round_to<T>(sin);
  const float x = rounded_product<T>(a, c) - rounded_product<T>(b, s);
  const float y = rounded_product<T>(b, c) + rounded_product<T>(a, s);
  a = x;
  b = y;
}

// silu(gate) * up of f32 sums, to be rounded by the store
template <class T>
__device__ __forceinline__ float swiglu_of(float gate, float up) {
  const float g = round_to<T>(gate);
  return round_to<T>(g / (1.f + expf(-g))) * round_to<T>(up);
}

// ---- RMSNorm: the mean square of a row in one fixed order, the same in every kernel. Groups of 128 columns, 4 per lane; then the groups.
constexpr int kNormGroup = 128;

// The sum of squares of a group: lane l of the warp has its columns 4 l to 4 l + 3, zeros past the row's end. All lanes get it.
__device__ __forceinline__ float group_squares(const float (&value)[4]) {
  float sum = __fmul_rn(value[0], value[0]);
#pragma unroll
  for (int i = 1; i < 4; i++) sum = __fmaf_rn(value[i], value[i], sum);
  return warp_sum(sum);
}

// From the sums of the groups lane, lane + 32, ... (added up in this order) of all 32 lanes.
__device__ __forceinline__ float inverse_rms(float squares, int width, float eps) {
  return rsqrtf(warp_sum(squares) / float(width) + eps);
}

// The normalised value times the weight, to be rounded by the store
template <class T>
__device__ __forceinline__ float normalised(float value, float inverse, float weight) {
  return __fmul_rn(round_to<T>(__fmul_rn(value, inverse)), weight);
}

// The normalised row times the weight, by all threads of a block; out may be the row.
template <int Threads, class T>
__device__ __forceinline__ void normalise_row(const T* row, const T* weight, T* out, int width, float inverse, bool wide) {
  constexpr int kEach = 8;
  for (int i = int(threadIdx.x) * kEach; i < width; i += Threads * kEach) {
    float v[kEach], w[kEach];
    load_piece(row + i, width - i, wide, v);
    load_piece(weight + i, width - i, wide, w);
#pragma unroll
    for (int k = 0; k < kEach; k++) v[k] = normalised<T>(v[k], inverse, w[k]);
    store_piece(out + i, width - i, wide, v);
  }
}

}  // namespace dvl
