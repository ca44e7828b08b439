// SPDX-License-Identifier: Apache-2.0
// The end of a branch and the norm that begins the next one: h = T(h + T(acc + bias)); y = T(T(h * rsqrt(mean(h^2) + eps)) * weight).
//
// Shape   h [rows, width] in place, acc f32, or rounded already, [rows, width], bias [width] or null, weight [width], y [rows, width].
// Floor   acc and h read once, h and y written once; the second read of h hits L1.
// Idea    residual_add and rms_norm in one launch, with the bits of the two: one block per row, f32 statistics of the rounded h by groups
//         of 128 columns (rounding.cuh).
// Rounds  four times, as the two kernels.
#include "dvl.cuh"
#include "rounding.cuh"

namespace {

constexpr int kThreads = 256;

template <class A, class T>
__device__ __forceinline__ void residual_rms_norm(T* h, const A* acc, const T* bias, const T* weight, T* y, int width, float eps) {
  DVL_SHARED(float[32], squares);  // of the groups g, g + 32, ...
  const int warp = int(threadIdx.x) / 32, lane = int(threadIdx.x) % 32;
  const int64_t at = int64_t(blockIdx.x) * width;
  T* row = h + at;
  T* out = y + at;
  const bool wide = width % 8 == 0;
  for (int first = warp; first < 32; first += kThreads / 32) {
    float squared = 0.f;
    for (int column = first * dvl::kNormGroup + lane * 4; column - lane * 4 < width; column += 32 * dvl::kNormGroup) {
      const int count = width - column;
      float value[4], sum[4];
      dvl::load_piece(acc + at + column, count, wide, value);
      dvl::load_piece(row + column, count, wide, sum);
      dvl::add_bias(bias, column, count, wide, value);
#pragma unroll
      for (int i = 0; i < 4; i++) sum[i] = dvl::round_to<T>(sum[i] + dvl::round_to<T>(value[i]));
      dvl::store_piece(row + column, count, wide, sum);
      squared += dvl::group_squares(sum);
    }
    if (lane == 0) squares[first] = squared;
  }
  __syncthreads();  // also for h: other threads read it below
  const float inverse = dvl::inverse_rms(squares[lane], width, eps);
  dvl::normalise_row<kThreads>(row, weight, out, width, inverse, wide);
}

}  // namespace

#define RESIDUAL_RMS_NORM(A, T, suffix)                                                                                      \
  extern "C" __global__ void __launch_bounds__(kThreads, 4)                                                                  \
      residual_rms_norm_##suffix(T* h, const A* acc, const T* bias, const T* weight, T* y, int rows, int width, float eps) { \
    residual_rms_norm(h, acc, bias, weight, y, width, eps);                                                                  \
  }                                                                                                                          \
  DVL_EXPORT(residual_rms_norm_##suffix)

RESIDUAL_RMS_NORM(float, bf16, bf16);
RESIDUAL_RMS_NORM(bf16, bf16, bf16_bf16);
RESIDUAL_RMS_NORM(float, f16, f16);
RESIDUAL_RMS_NORM(f16, f16, f16_f16);
RESIDUAL_RMS_NORM(float, float, f32);
