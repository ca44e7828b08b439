// SPDX-License-Identifier: Apache-2.0
// Gradient of LayerNorm. With r = rsqrt(var + eps), n = (x - mean) r and y = n w + b:
//   dx = r (w dy - mean(w dy) - n mean(w dy n)),   dw = sum over the rows of dy n,   db = sum over the rows of dy.
//
// Shape   x, dy, dx [rows, width], weight [width]; partial f32 [2, blocks, width]: sums of dy n, then of dy, over the rows block,
//         block + blocks, ...
// Floor   x, dy and dx read once, dx written once; further reads hit L1.
// Idea    as rms_norm_backward: a block goes through its rows in order and owns its part of `partial`; column_sum adds these up.
// Rounds  dx once. It is added to what stands there: the gradient that bypasses the norm.
#include "dvl.cuh"
#include "rows.cuh"

namespace {

constexpr int kThreads = 256;
constexpr int kEach = 8;

template <class T>
__device__ __forceinline__ void layer_norm_backward(const T* x, const T* weight, const T* dy, T* dx, float* partial, int rows, int width,
                                                    float eps) {
  DVL_SHARED(float[kThreads / 32], sums);
  float* products = partial + int64_t(blockIdx.x) * width;
  float* plain = products + int64_t(gridDim.x) * width;
  const bool wide = width % kEach == 0 && dvl::aligned16(x) && dvl::aligned16(dy) && dvl::aligned16(dx) && dvl::aligned16(weight);
  for (int row = blockIdx.x; row < rows; row += gridDim.x) {
    const int64_t at = int64_t(row) * width;
    float sum = 0.f;
    for (int i = int(threadIdx.x) * kEach; i < width; i += kThreads * kEach) {
      float v[kEach];
      dvl::load_piece(x + at + i, width - i, wide, v);
#pragma unroll
      for (int k = 0; k < kEach; k++) sum += v[k];
    }
    const float mean = dvl::block_sum(sum, sums) / float(width);
    float squares = 0.f;
    for (int i = int(threadIdx.x) * kEach; i < width; i += kThreads * kEach) {
      float v[kEach];
      dvl::load_piece(x + at + i, width - i, wide, v);
#pragma unroll
      for (int k = 0; k < kEach; k++) {
        const float difference = i + k < width ? v[k] - mean : 0.f;
        squares += difference * difference;
      }
    }
    const float inverse = rsqrtf(dvl::block_sum(squares, sums) / float(width) + eps);
    float scaled = 0.f, product = 0.f;
    for (int i = int(threadIdx.x) * kEach; i < width; i += kThreads * kEach) {
      float v[kEach], w[kEach], g[kEach];
      dvl::load_piece(x + at + i, width - i, wide, v);
      dvl::load_piece(weight + i, width - i, wide, w);
      dvl::load_piece(dy + at + i, width - i, wide, g);
#pragma unroll
      for (int k = 0; k < kEach; k++) {
        scaled += g[k] * w[k];
        product += g[k] * w[k] * (v[k] - mean) * inverse;
      }
    }
    const float mean_scaled = dvl::block_sum(scaled, sums) / float(width);
    const float mean_product = dvl::block_sum(product, sums) / float(width);
    for (int i = int(threadIdx.x) * kEach; i < width; i += kThreads * kEach) {
      float v[kEach], w[kEach], g[kEach], d[kEach];
      dvl::load_piece(x + at + i, width - i, wide, v);
      dvl::load_piece(weight + i, width - i, wide, w);
      dvl::load_piece(dy + at + i, width - i, wide, g);
      dvl::load_piece(dx + at + i, width - i, wide, d);
      const bool first = row < int(gridDim.x);
#pragma unroll
      for (int k = 0; k < kEach; k++) {
        const float n = (v[k] - mean) * inverse;
        d[k] += inverse * (w[k] * g[k] - mean_scaled - n * mean_product);
        if (i + k < width) {
          products[i + k] = (first ? 0.f : products[i + k]) + g[k] * n;
          plain[i + k] = (first ? 0.f : plain[i + k]) + g[k];
        }
      }
      dvl::store_piece(dx + at + i, width - i, wide, d);
    }
  }
}

}  // namespace

#define LAYER_NORM_BACKWARD(T, suffix)                                                                                          \
  extern "C" __global__ void __launch_bounds__(kThreads, 4)                                                                     \
      layer_norm_backward_##suffix(const T* x, const T* weight, const T* dy, T* dx, float* partial, int rows, int width,        \
                                   float eps) {                                                                                 \
    layer_norm_backward(x, weight, dy, dx, partial, rows, width, eps);                                                          \
  }                                                                                                                             \
  DVL_EXPORT(layer_norm_backward_##suffix)

LAYER_NORM_BACKWARD(bf16, bf16);
LAYER_NORM_BACKWARD(float, f32);
