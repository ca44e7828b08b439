// SPDX-License-Identifier: Apache-2.0
// Gradient of RMSNorm. With r = rsqrt(mean(x^2) + eps), n = x r and y = n w:
//   dx = r (w dy - n mean(w dy n)),   dw = sum over the rows of dy n.
//
// Shape   x, dy, dx [rows, width], weight [width]; partial f32 [blocks, width]: sums of dy n over the rows block, block + blocks, ...
// Floor   x, dy and dx read once, dx written once; the second read of x and dy hits L1.
// Idea    a block goes through its rows one after the other, f32 statistics in the order of rms_norm, so r has its bits. A block owns its
//         row of `partial`; column_sum adds these up. The number of blocks depends on the shape alone, and so does the order of all sums.
// Rounds  dx once. It is added to what stands there: the gradient that bypasses the norm.
#include "dvl.cuh"
#include "rounding.cuh"
#include "rows.cuh"

namespace {

constexpr int kThreads = 256;
constexpr int kEach = 8;

template <class T>
__device__ __forceinline__ void rms_norm_backward(const T* x, const T* weight, const T* dy, T* dx, float* partial, int rows, int width,
                                                  float eps) {
  DVL_SHARED(float[32], squares);  // of the groups g, g + 32, ...
  DVL_SHARED(float[kThreads / 32], sums);
  const int warp = int(threadIdx.x) / 32, lane = int(threadIdx.x) % 32;
  float* own = partial + int64_t(blockIdx.x) * width;
  const bool wide = width % kEach == 0 && dvl::aligned16(x) && dvl::aligned16(dy) && dvl::aligned16(dx) && dvl::aligned16(weight);
  for (int row = blockIdx.x; row < rows; row += gridDim.x) {
    const int64_t at = int64_t(row) * width;
    for (int first = warp; first < 32; first += kThreads / 32) {
      float sum = 0.f;
      for (int column = first * dvl::kNormGroup + lane * 4; column - lane * 4 < width; column += 32 * dvl::kNormGroup) {
        float v[4];
        dvl::load_piece(x + at + column, width - column, wide, v);
        sum += dvl::group_squares(v);
      }
      if (lane == 0) squares[first] = sum;
    }
    __syncthreads();
    const float inverse = dvl::inverse_rms(squares[lane], width, eps);
    float product = 0.f;
    for (int i = int(threadIdx.x) * kEach; i < width; i += kThreads * kEach) {
      float v[kEach], w[kEach], g[kEach];
      dvl::load_piece(x + at + i, width - i, wide, v);
      dvl::load_piece(weight + i, width - i, wide, w);
      dvl::load_piece(dy + at + i, width - i, wide, g);
#pragma unroll
      for (int k = 0; k < kEach; k++) product += g[k] * w[k] * v[k] * inverse;
    }
    const float mean = dvl::block_sum(product, sums) / float(width);
    for (int i = int(threadIdx.x) * kEach; i < width; i += kThreads * kEach) {
      float v[kEach], w[kEach], g[kEach], d[kEach];
      dvl::load_piece(x + at + i, width - i, wide, v);
      dvl::load_piece(weight + i, width - i, wide, w);
      dvl::load_piece(dy + at + i, width - i, wide, g);
      dvl::load_piece(dx + at + i, width - i, wide, d);
#pragma unroll
      for (int k = 0; k < kEach; k++) {
        const float n = v[k] * inverse;
        d[k] += inverse * (w[k] * g[k] - n * mean);
        if (i + k < width) own[i + k] = (row < int(gridDim.x) ? 0.f : own[i + k]) + g[k] * n;
      }
      dvl::store_piece(dx + at + i, width - i, wide, d);
    }
  }
}

}  // namespace

#define RMS_NORM_BACKWARD(T, suffix)                                                                                             \
  extern "C" __global__ void __launch_bounds__(kThreads)                                                                         \
      rms_norm_backward_##suffix(const T* x, const T* weight, const T* dy, T* dx, float* partial, int rows, int width, float eps) { \
    rms_norm_backward(x, weight, dy, dx, partial, rows, width, eps);                                                             \
  }                                                                                                                              \
  DVL_EXPORT(rms_norm_backward_##suffix)

RMS_NORM_BACKWARD(bf16, bf16);
RMS_NORM_BACKWARD(float, f32);
