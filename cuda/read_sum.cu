// SPDX-License-Identifier: Apache-2.0
// partial[b] = sum of what block b reads of x: the read-only ceiling of device memory, in the manner in which kernels read weights.
//
// Shape   x [n], partial f32 [blocks].
// Floor   x read once.
// Idea    a grid of fixed size strides over x in pieces of 8 elements; each thread has 4 pieces in flight before it adds the first.
// Rounds  f32 throughout, in an order that depends on n and the grid alone.
#include "dvl.cuh"
#include "rows.cuh"

namespace {

constexpr int kThreads = 256;
constexpr int kEach = 8;
constexpr int kInFlight = 4;

template <class T>
__device__ __forceinline__ void read_sum(const T* x, float* partial, long long n) {
  DVL_SHARED(float[kThreads / 32], sums);
  const int64_t stride = int64_t(gridDim.x) * kThreads * kEach;
  const bool wide = dvl::aligned16(x);
  int64_t at = (int64_t(blockIdx.x) * kThreads + threadIdx.x) * kEach;
  float sum = 0.f;
  for (; wide && at + (kInFlight - 1) * stride + kEach <= n; at += kInFlight * stride) {
    float value[kInFlight][kEach];
#pragma unroll
    for (int i = 0; i < kInFlight; i++) dvl::load(x + at + i * stride, value[i]);
#pragma unroll
    for (int i = 0; i < kInFlight; i++) {
#pragma unroll
      for (int j = 0; j < kEach; j++) sum += value[i][j];
    }
  }
  for (; at < n; at += stride) {
    float value[kEach];
    dvl::load_piece(x + at, n - at < kEach ? int(n - at) : kEach, wide, value);
#pragma unroll
    for (int j = 0; j < kEach; j++) sum += value[j];
  }
  sum = dvl::block_sum(sum, sums);
  if (threadIdx.x == 0) partial[blockIdx.x] = sum;
}

}  // namespace

#define READ_SUM(T, suffix)                                        \
  extern "C" __global__ void __launch_bounds__(kThreads, 4)        \
      read_sum_##suffix(const T* x, float* partial, long long n) { \
    read_sum(x, partial, n);                                       \
  }                                                                \
  DVL_EXPORT(read_sum_##suffix)

READ_SUM(bf16, bf16);
READ_SUM(f16, f16);
READ_SUM(float, f32);
