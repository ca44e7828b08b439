// SPDX-License-Identifier: Apache-2.0
// h = T(h + T(acc + bias)): the end of an attention or MLP branch.
//
// Shape   h [rows, width] in place, acc f32, or rounded already, [rows, width], bias [width] or null.
// Floor   acc read once, h read and written once.
// Idea    elementwise, 4 columns per thread.
// Rounds  twice, as the reference: the linear layer's output, then the sum. (So a residual cannot ride in a GEMM's beta.)
#include "dvl.cuh"
#include "rows.cuh"

namespace {

constexpr int kThreads = 256;
constexpr int kEach = 4;

template <class A, class T>
__device__ __forceinline__ void residual_add(T* h, const A* acc, const T* bias, int width) {
  const int column = (int(blockIdx.y) * kThreads + int(threadIdx.x)) * kEach;
  if (column >= width) return;
  const int count = width - column;
  const int64_t at = int64_t(blockIdx.x) * width + column;
  const bool wide = width % kEach == 0;
  float value[kEach], sum[kEach];
  dvl::load_piece(acc + at, count, wide, value);
  dvl::load_piece(h + at, count, wide, sum);
  dvl::add_bias(bias, column, count, wide, value);
#pragma unroll
  for (int i = 0; i < kEach; i++) sum[i] += dvl::round_to<T>(value[i]);
  dvl::store_piece(h + at, count, wide, sum);
}

}  // namespace

#define RESIDUAL_ADD(A, T, suffix)                                                    \
  extern "C" __global__ void __launch_bounds__(kThreads)                              \
      residual_add_##suffix(T* h, const A* acc, const T* bias, int rows, int width) { \
    residual_add(h, acc, bias, width);                                                \
  }                                                                                   \
  DVL_EXPORT(residual_add_##suffix)

RESIDUAL_ADD(float, bf16, bf16);
RESIDUAL_ADD(bf16, bf16, bf16_bf16);
RESIDUAL_ADD(float, f16, f16);
RESIDUAL_ADD(f16, f16, f16_f16);
RESIDUAL_ADD(float, float, f32);
