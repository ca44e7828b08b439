// SPDX-License-Identifier: Apache-2.0
// Sums of squares of a row by groups of 128 columns: what a product with a fused RMSNorm needs to know of an input that no product wrote.
//
// Shape   x [rows, width]; squares f32 [rows, ceil(width / 128)].
// Floor   x read once.
// Idea    one block per row, one warp per group; the order of rounding.cuh.
#include "dvl.cuh"
#include "rounding.cuh"
#include "rows.cuh"

namespace {

constexpr int kThreads = 256;

template <class T>
__device__ __forceinline__ void row_squares(const T* x, float* squares, int width) {
  const int warp = int(threadIdx.x) / 32, lane = int(threadIdx.x) % 32;
  const int groups = (width + dvl::kNormGroup - 1) / dvl::kNormGroup;
  const T* row = x + int64_t(blockIdx.x) * width;
  const bool wide = dvl::aligned16(row);
  for (int group = warp; group < groups; group += kThreads / 32) {
    const int column = group * dvl::kNormGroup + lane * 4;
    float value[4];
    dvl::load_piece(row + column, width - column, wide, value);
    const float sum = dvl::group_squares(value);
    if (lane == 0) squares[int64_t(blockIdx.x) * groups + group] = sum;
  }
}

}  // namespace

#define ROW_SQUARES(T, suffix)                                                \
  extern "C" __global__ void __launch_bounds__(kThreads)                      \
      row_squares_##suffix(const T* x, float* squares, int rows, int width) { \
    row_squares(x, squares, width);                                           \
  }                                                                           \
  DVL_EXPORT(row_squares_##suffix)

ROW_SQUARES(bf16, bf16);
ROW_SQUARES(f16, f16);
ROW_SQUARES(float, f32);
