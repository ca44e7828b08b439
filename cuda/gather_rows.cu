// SPDX-License-Identifier: Apache-2.0
// out[r] = table[index[r]]: token embeddings, the vision tower's window order and its inverse. With `pick`, the index is that of many
// blocks, of which a pass takes some: out[r] = table[index[pick[r]]].
// Where asked for also the sums of squares of out's rows by groups of 128 columns, for a product with a fused RMSNorm.
//
// Shape   table [table_rows, width], pick [rows] or null, index [rows, or as many as pick asks for], fallback [fallback_rows, width] or
//         null, out [rows, width]; squares f32 [rows, ceil(width / 128)] or null.
// Floor   rows * width read and written once.
// Idea    one block per row. An index of -1 - i takes row i of `fallback` (embeddings of the prompt's tail), or leaves the row alone when
//         there is none. An index past table or fallback gives a NaN row: a visible failure, not a stray read.
//         Squares come from the same rows, which are in the cache by then.
#include "dvl.cuh"
#include "rounding.cuh"
#include "rows.cuh"

namespace {

constexpr int kThreads = 128;
constexpr int kBlocks = 8;  // of a multiprocessor: left to itself ptxas takes so few registers that it spills

template <class T>
__device__ __forceinline__ void gather(const T* table, const int* pick, const int* index, const T* fallback, T* out, float* squares,
                                       int width, int table_rows, int fallback_rows) {
  const int row = blockIdx.x;
  const int from = index[pick == nullptr ? row : pick[row]];
  const int groups = (width + dvl::kNormGroup - 1) / dvl::kNormGroup;
  T* to = out + int64_t(row) * width;
  if (from >= table_rows || (fallback != nullptr && -1 - from >= fallback_rows)) {
    for (int i = threadIdx.x; i < width; i += kThreads) to[i] = dvl::from_float<T>(NAN);
    for (int group = threadIdx.x; squares != nullptr && group < groups; group += kThreads) squares[int64_t(row) * groups + group] = NAN;
    return;
  }
  const T* source = to;  // left alone
  if (from >= 0) source = table + int64_t(from) * width;
  else if (fallback != nullptr) source = fallback + int64_t(-1 - from) * width;
  if (source != to) {
    constexpr int kEach = 16 / int(sizeof(T));
    int done = 0;
    if (dvl::aligned16(source) && dvl::aligned16(to)) {
      done = width / kEach * kEach;
      for (int i = int(threadIdx.x) * kEach; i < done; i += kThreads * kEach) dvl::copy16(to + i, source + i);
    }
    for (int i = done + int(threadIdx.x); i < width; i += kThreads) to[i] = source[i];
  }
  if (squares != nullptr) {
    const int warp = int(threadIdx.x) / 32, lane = int(threadIdx.x) % 32;
    const bool wide = dvl::aligned16(source);
    for (int group = warp; group < groups; group += kThreads / 32) {
      const int column = group * dvl::kNormGroup + lane * 4;
      float value[4];
      dvl::load_piece(source + column, width - column, wide, value);
      const float sum = dvl::group_squares(value);
      if (lane == 0) squares[int64_t(row) * groups + group] = sum;
    }
  }
}

}  // namespace

#define GATHER_ROWS(T, suffix)                                                                                                      \
  extern "C" __global__ void __launch_bounds__(kThreads, kBlocks)                                                                      \
      gather_rows_##suffix(const T* table, const int* pick, const int* index, const T* fallback, T* out, float* squares, int width, \
                           int table_rows, int fallback_rows) {                                                                     \
    gather(table, pick, index, fallback, out, squares, width, table_rows, fallback_rows);                                           \
  }                                                                                                                                 \
  DVL_EXPORT(gather_rows_##suffix)

GATHER_ROWS(bf16, bf16);
GATHER_ROWS(f16, f16);
GATHER_ROWS(float, f32);
