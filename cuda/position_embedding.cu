// SPDX-License-Identifier: Apache-2.0
// out = T(T(patch + bias) + position): the end of the patch embedding, and the learned positions.
//
// Shape   patches [rows, width], bias [width], position [positions, width], out [rows, width]; row r is at position r % positions.
// Floor   patches read once, out written once; bias and positions stay in L2.
// Idea    elementwise, 4 columns per thread. A product leaves f32 accumulators, a convolution by cuDNN values of T: an instance for each.
// Rounds  the linear layer's output, then the sum.
#include "dvl.cuh"
#include "rows.cuh"

namespace {

constexpr int kThreads = 256;
constexpr int kEach = 4;

template <class A, class T>
__device__ __forceinline__ void position_embedding(const A* patches, const T* bias, const T* position, T* out, int width, int positions) {
  const int column = (int(blockIdx.y) * kThreads + int(threadIdx.x)) * kEach;
  if (column >= width) return;
  const int count = width - column;
  const int64_t at = int64_t(blockIdx.x) * width + column;
  const bool wide = width % kEach == 0;
  float value[kEach], b[kEach], p[kEach];
  dvl::load_piece(patches + at, count, wide, value);
  dvl::load_piece(bias + column, count, wide, b);
  dvl::load_piece(position + int64_t(blockIdx.x % positions) * width + column, count, wide, p);
#pragma unroll
  for (int i = 0; i < kEach; i++) value[i] = dvl::round_to<T>(value[i] + b[i]) + p[i];
  dvl::store_piece(out + at, count, wide, value);
}

}  // namespace

#define POSITION_EMBEDDING(A, T, suffix)                                                                           \
  extern "C" __global__ void __launch_bounds__(kThreads)                                                           \
      position_embedding_##suffix(const A* patches, const T* bias, const T* position, T* out, int rows, int width, \
                                  int positions) {                                                                 \
    position_embedding(patches, bias, position, out, width, positions);                                            \
  }                                                                                                                \
  DVL_EXPORT(position_embedding_##suffix)

POSITION_EMBEDDING(float, bf16, bf16);
POSITION_EMBEDDING(bf16, bf16, bf16_bf16);
POSITION_EMBEDDING(float, f16, f16);
POSITION_EMBEDDING(f16, f16, f16_f16);
POSITION_EMBEDDING(float, float, f32);
