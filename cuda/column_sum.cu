// SPDX-License-Identifier: Apache-2.0
// Column sums, added to what is there: the gradient of a bias, and of a norm's weight from partial sums.
//
// Shape   x [rows, width], sum f32 [width].
// Floor   x read once.
// Idea    a block has 32 neighbouring columns; each of its warps takes every eighth row, so that reads are whole lines, and the warps' sums
//         are added up in order. No atomics: the same bits in every run.
// Rounds  nothing; the sum is f32.
#include "dvl.cuh"

namespace {

constexpr int kThreads = 256;
constexpr int kWarps = kThreads / 32;

template <class T>
__device__ __forceinline__ void column_sum(const T* x, float* sum, int rows, int width) {
  DVL_SHARED(float[kThreads], partial);
  const int lane = int(threadIdx.x) % 32, warp = int(threadIdx.x) / 32;
  const int column = int(blockIdx.x) * 32 + lane;
  float own = 0.f;
  if (column < width) {
    for (int row = warp; row < rows; row += kWarps) own += dvl::to_float(x[int64_t(row) * width + column]);
  }
  partial[threadIdx.x] = own;
  __syncthreads();
  if (warp == 0 && column < width) {
    float total = partial[lane];
#pragma unroll
    for (int w = 1; w < kWarps; w++) total += partial[w * 32 + lane];
    sum[column] += total;
  }
}

}  // namespace

#define COLUMN_SUM(T, suffix)                                                       \
  extern "C" __global__ void __launch_bounds__(kThreads)                            \
      column_sum_##suffix(const T* x, float* sum, int rows, int width) {            \
    column_sum(x, sum, rows, width);                                                \
  }                                                                                 \
  DVL_EXPORT(column_sum_##suffix)

COLUMN_SUM(bf16, bf16);
COLUMN_SUM(float, f32);
