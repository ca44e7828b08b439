// SPDX-License-Identifier: Apache-2.0
// out[r] = table[index[r]]: token embeddings, the vision tower's window order and its inverse.
//
// Shape   table [table_rows, width], index [rows], fallback [rows, width] or null, out [rows, width].
// Floor   rows * width read and written once.
// Idea    one block a row. index < 0 takes the row of `fallback` (embeddings of images and of the prompt's tail), or leaves
//         the row alone when there is none. An index past the table gives a NaN row: a visible failure, not a stray read.
#include "dvl.cuh"
#include "rows.cuh"

namespace {

constexpr int kThreads = 128;

template <class T>
__device__ __forceinline__ void gather(const T* table, const int* index, const T* fallback, T* out, int width, int table_rows) {
  const int row = blockIdx.x;
  const int from = index[row];
  if (from < 0 && fallback == nullptr) return;
  T* to = out + int64_t(row) * width;
  if (from >= table_rows) {
    for (int i = threadIdx.x; i < width; i += kThreads) to[i] = dvl::from_float<T>(NAN);
    return;
  }
  const T* source = from >= 0 ? table + int64_t(from) * width : fallback + int64_t(row) * width;
  constexpr int kEach = 16 / int(sizeof(T));
  int done = 0;
  if (dvl::aligned16(source) && dvl::aligned16(to)) {
    done = width / kEach * kEach;
    for (int i = int(threadIdx.x) * kEach; i < done; i += kThreads * kEach) dvl::copy16(to + i, source + i);
  }
  for (int i = done + int(threadIdx.x); i < width; i += kThreads) to[i] = source[i];
}

}  // namespace

extern "C" __global__ void __launch_bounds__(kThreads)
    gather_rows_bf16(const bf16* table, const int* index, const bf16* fallback, bf16* out, int rows, int width, int table_rows) {
  gather(table, index, fallback, out, width, table_rows);
}
DVL_EXPORT(gather_rows_bf16);

extern "C" __global__ void __launch_bounds__(kThreads) gather_rows_f32(const float* table, const int* index, const float* fallback,
                                                                       float* out, int rows, int width, int table_rows) {
  gather(table, index, fallback, out, width, table_rows);
}
DVL_EXPORT(gather_rows_f32);
