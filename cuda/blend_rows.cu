// SPDX-License-Identifier: Apache-2.0
// out[r] = weight[r][0] * table[index[r][0]] + ... + weight[r][3] * table[index[r][3]]: bilinear resizing of a picture of rows, and plain
// gathering where the first weight is 1 and the others 0.
//
// Shape   table [table_rows, width], index and weight [rows, 4], out [rows, width].
// Floor   the rows that have a weight read once (neighbours share them in L2), out written once.
// Idea    one block per row, 8 elements per thread and turn. A weight of 0 skips its row. An index outside the table gives a NaN row: a
//         visible failure, not a stray read.
// Rounds  once; the terms are added in their order in f32.
#include "dvl.cuh"
#include "rows.cuh"

namespace {

constexpr int kThreads = 128;
constexpr int kEach = 8;
constexpr int kTerms = 4;

template <class T>
__device__ __forceinline__ void blend_rows(const T* table, const int* index, const float* weight, T* out, int width, int table_rows) {
  const int64_t row = blockIdx.x;
  T* to = out + row * width;
  bool wide = dvl::aligned16(to);
  const T* from[kTerms];
  float factor[kTerms];
#pragma unroll
  for (int k = 0; k < kTerms; k++) {
    const int source = index[row * kTerms + k];
    factor[k] = weight[row * kTerms + k];
    if (factor[k] != 0.f && (source < 0 || source >= table_rows)) factor[k] = NAN;
    from[k] = table + (factor[k] == factor[k] && factor[k] != 0.f ? int64_t(source) * width : 0);
    wide = wide && dvl::aligned16(from[k]);
  }
  for (int i = int(threadIdx.x) * kEach; i < width; i += kThreads * kEach) {
    float sum[kEach] = {};
#pragma unroll
    for (int k = 0; k < kTerms; k++) {
      if (factor[k] == 0.f) continue;
      float v[kEach];
      dvl::load_piece(from[k] + i, width - i, wide, v);
#pragma unroll
      for (int j = 0; j < kEach; j++) sum[j] += factor[k] * v[j];
    }
    dvl::store_piece(to + i, width - i, wide, sum);
  }
}

}  // namespace

#define BLEND_ROWS(T, suffix)                                                                                                   \
  extern "C" __global__ void __launch_bounds__(kThreads)                                                                        \
      blend_rows_##suffix(const T* table, const int* index, const float* weight, T* out, int rows, int width, int table_rows) { \
    blend_rows(table, index, weight, out, width, table_rows);                                                                   \
  }                                                                                                                             \
  DVL_EXPORT(blend_rows_##suffix)

BLEND_ROWS(bf16, bf16);
BLEND_ROWS(f16, f16);
BLEND_ROWS(float, f32);
