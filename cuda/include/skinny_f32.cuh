// SPDX-License-Identifier: Apache-2.0
// The f32 instance of skinny.cuh, for fidelity and not for speed: plain fused multiply-adds in the order of k, with the same epilogues.
//
// One block per tile and 16 rows of x; a thread owns a column of 8 rows. What is added in which order depends on k alone.
#pragma once
#include "skinny.cuh"

namespace dvl {

constexpr int kF32Rows = 16;

template <bool Paired, bool Normed, class Epilogue>
__device__ __forceinline__ void skinny_product_f32(const Product<float>& p, const InputNorm<float>& norm, const Epilogue& epilogue) {
  DVL_SHARED_ALIGNED(16, float[kChunk][kF32Rows], x);  // transposed: a thread reads its rows side by side
  DVL_SHARED_ALIGNED(16, float[8][kColumnsPitch], columns);
  DVL_SHARED(float[kF32Rows], scale);
  const int tile = blockIdx.x, first = int(blockIdx.y) * kF32Rows, rows = min(kF32Rows, p.rows - first);
  const int warp = int(threadIdx.x) / 32, column = int(threadIdx.x) % kTile, mine = int(threadIdx.x) / kTile * 8;
  const int row = weight_row<Paired>(tile, column, p.n);
  const float* const w = p.w.at + int64_t(row < p.n ? row : 0) * p.k;
  if constexpr (Normed) {
    const InputNorm<float> from_first = {norm.weight, norm.squares + int64_t(first) * ((p.k + kNormGroup - 1) / kNormGroup), norm.eps};
    row_scales(from_first, rows, p.k, scale);
  }

  float sum[8] = {};
  for (int chunk = 0; chunk < p.k; chunk += kChunk) {
    __syncthreads();
    const int r = int(threadIdx.x) / (kChunk / 4), at = int(threadIdx.x) % (kChunk / 4) * 4;
    float piece[4] = {};
    if (r < rows && chunk + at < p.k) {
      load<4>(p.x + int64_t(first + r) * p.k + chunk + at, piece);
      if constexpr (Normed) {
        float weight[4];
        load<4>(norm.weight + chunk + at, weight);
#pragma unroll
        for (int j = 0; j < 4; j++) piece[j] = normalised<float>(piece[j], scale[r], weight[j]);
      }
    }
#pragma unroll
    for (int j = 0; j < 4; j++) x[at + j][r] = piece[j];
    __syncthreads();
    if (mine >= rows) continue;
    for (int i = 0; i < kChunk && chunk + i < p.k; i += 4) {
      float weight[4];
      load<4>(w + chunk + i, weight);
#pragma unroll
      for (int j = 0; j < 4; j++) add_scaled(sum, &x[i + j][mine], weight[j]);
    }
  }
#pragma unroll
  for (int half = 0; half < kF32Rows; half += 8) {
    if (half >= rows) break;
    __syncthreads();
    if (mine == half) {
#pragma unroll
      for (int m = 0; m < 8; m++) columns[m][column] = row < p.n ? sum[m] : 0.f;
    }
    __syncthreads();
    if (half + warp < rows) epilogue(first + half + warp, tile, columns[warp], epilogue.ask(first + half + warp, tile));
  }
}

}  // namespace dvl
