// SPDX-License-Identifier: Apache-2.0
// LayerNorm: y = T((x - mean) * rsqrt(var + eps) * weight + bias), var = mean of (x - mean)^2.
//
// Shape   x, y [rows, width], weight and bias [width].
// Floor   rows * width read and written once; the second and third read of x hit L1.
// Idea    one block per row, 8 elements per thread and turn, f32 statistics in two passes: the squares are of differences, so a large mean
//         costs no digits.
// Rounds  once, at the end, as the reference.
#include "dvl.cuh"
#include "rows.cuh"

namespace {

constexpr int kThreads = 256;
constexpr int kEach = 8;

template <class T>
__device__ __forceinline__ void layer_norm(const T* x, const T* weight, const T* bias, T* y, int width, float eps) {
  DVL_SHARED(float[kThreads / 32], partial);
  const T* row = x + int64_t(blockIdx.x) * width;
  T* out = y + int64_t(blockIdx.x) * width;
  const bool wide = dvl::aligned16(row) && dvl::aligned16(out) && dvl::aligned16(weight) && dvl::aligned16(bias);
  float sum = 0.f;
  for (int i = int(threadIdx.x) * kEach; i < width; i += kThreads * kEach) {
    float v[kEach];
    dvl::load_piece(row + i, width - i, wide, v);
#pragma unroll
    for (int k = 0; k < kEach; k++) sum += v[k];
  }
  const float mean = dvl::block_sum(sum, partial) / float(width);
  float squares = 0.f;
  for (int i = int(threadIdx.x) * kEach; i < width; i += kThreads * kEach) {
    float v[kEach];
    dvl::load_piece(row + i, width - i, wide, v);
#pragma unroll
    for (int k = 0; k < kEach; k++) {
      const float difference = i + k < width ? v[k] - mean : 0.f;
      squares += difference * difference;
    }
  }
  const float inverse = rsqrtf(dvl::block_sum(squares, partial) / float(width) + eps);
  for (int i = int(threadIdx.x) * kEach; i < width; i += kThreads * kEach) {
    float v[kEach], w[kEach], b[kEach];
    dvl::load_piece(row + i, width - i, wide, v);
    dvl::load_piece(weight + i, width - i, wide, w);
    dvl::load_piece(bias + i, width - i, wide, b);
#pragma unroll
    for (int k = 0; k < kEach; k++) v[k] = (v[k] - mean) * inverse * w[k] + b[k];
    dvl::store_piece(out + i, width - i, wide, v);
  }
}

}  // namespace

#define LAYER_NORM(T, suffix)                                                                                 \
  extern "C" __global__ void __launch_bounds__(kThreads)                                                      \
      layer_norm_##suffix(const T* x, const T* weight, const T* bias, T* y, int rows, int width, float eps) { \
    layer_norm(x, weight, bias, y, width, eps);                                                               \
  }                                                                                                           \
  DVL_EXPORT(layer_norm_##suffix)

LAYER_NORM(bf16, bf16);
LAYER_NORM(f16, f16);
LAYER_NORM(float, f32);
