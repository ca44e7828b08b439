// SPDX-License-Identifier: Apache-2.0
// Adds rows to the rows of a table: the gradient of gather_rows (token embeddings, image features), where one row of the table may have
// been taken many times.
//
// Shape   x [*, width], table f32 [*, width]; for each of `targets` targets: target[t] its row of the table, and source[begin[t] ..
//         begin[t+1]) the rows of x that are added to it.
// Floor   the named rows of x read once, the named rows of the table read and written once.
// Idea    one block per target and 1024 columns, 4 columns per thread, the rows in the order of the list: no atomics, the same bits in
//         every run.
// Rounds  nothing; the sum is f32.
#include "dvl.cuh"
#include "rows.cuh"

namespace {

constexpr int kThreads = 256;
constexpr int kEach = 4;

template <class T>
__device__ __forceinline__ void scatter_add_rows(const T* x, const int* target, const int* begin, const int* source, float* table,
                                                 int width) {
  const int column = (int(blockIdx.y) * kThreads + int(threadIdx.x)) * kEach;
  if (column >= width) return;
  const int count = width - column;
  const bool wide = width % kEach == 0 && dvl::aligned16(x) && dvl::aligned16(table);
  float* to = table + int64_t(target[blockIdx.x]) * width + column;
  float sum[kEach];
  dvl::load_piece(to, count, wide, sum);
  for (int i = begin[blockIdx.x]; i < begin[blockIdx.x + 1]; i++) {
    float value[kEach];
    dvl::load_piece(x + int64_t(source[i]) * width + column, count, wide, value);
#pragma unroll
    for (int k = 0; k < kEach; k++) sum[k] += value[k];
  }
  dvl::store_piece(to, count, wide, sum);
}

}  // namespace

#define SCATTER_ADD_ROWS(T, suffix)                                                                                        \
  extern "C" __global__ void __launch_bounds__(kThreads)                                                                   \
      scatter_add_rows_##suffix(const T* x, const int* target, const int* begin, const int* source, float* table, int width) { \
    scatter_add_rows(x, target, begin, source, table, width);                                                              \
  }                                                                                                                        \
  DVL_EXPORT(scatter_add_rows_##suffix)

SCATTER_ADD_ROWS(bf16, bf16);
SCATTER_ADD_ROWS(float, f32);
