// SPDX-License-Identifier: Apache-2.0
// RMSNorm: y = T(T(x * rsqrt(mean(x^2) + eps)) * weight).
//
// Shape   x, y [rows, width], weight [width].
// Floor   rows * width read and written once; the second read of x hits L1.
// Idea    one block per row, f32 statistics by groups of 128 columns, one warp per group, in the order that products with a fused norm use
//         too (rounding.cuh): the same bits either way.
// Rounds  twice, as the reference: the normalised value, then its product with the weight.
#include "dvl.cuh"
#include "rounding.cuh"

namespace {

constexpr int kThreads = 256;

template <class T>
__device__ __forceinline__ void rms_norm(const T* x, const T* weight, T* y, int width, float eps) {
  DVL_SHARED(float[32], squares);  // of the groups g, g + 32, ...
  const int warp = int(threadIdx.x) / 32, lane = int(threadIdx.x) % 32;
  const T* row = x + int64_t(blockIdx.x) * width;
  T* out = y + int64_t(blockIdx.x) * width;
  const bool wide = dvl::aligned16(row) && dvl::aligned16(out) && dvl::aligned16(weight);
  for (int first = warp; first < 32; first += kThreads / 32) {
    float sum = 0.f;
    for (int column = first * dvl::kNormGroup + lane * 4; column - lane * 4 < width; column += 32 * dvl::kNormGroup) {
      float v[4];
      dvl::load_piece(row + column, width - column, wide, v);
      sum += dvl::group_squares(v);
    }
    if (lane == 0) squares[first] = sum;
  }
  __syncthreads();
  const float inverse = dvl::inverse_rms(squares[lane], width, eps);
  dvl::normalise_row<kThreads>(row, weight, out, width, inverse, wide);
}

}  // namespace

#define RMS_NORM(T, suffix)                                                                  \
  extern "C" __global__ void __launch_bounds__(kThreads)                                     \
      rms_norm_##suffix(const T* x, const T* weight, T* y, int rows, int width, float eps) { \
    rms_norm(x, weight, y, width, eps);                                                      \
  }                                                                                          \
  DVL_EXPORT(rms_norm_##suffix)

RMS_NORM(bf16, bf16);
RMS_NORM(f16, f16);
RMS_NORM(float, f32);
