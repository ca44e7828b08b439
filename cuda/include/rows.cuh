// SPDX-License-Identifier: Apache-2.0
// What row-wise kernels share: pieces of rows with a ragged end, and reductions over a block.
#pragma once
#include "dvl.cuh"

namespace dvl {

__device__ __forceinline__ bool aligned16(const void* p) { return (reinterpret_cast<uintptr_t>(p) & 15) == 0; }

// out[i] = float(p[i]) for i < count, 0 beyond; one wide access when the piece is whole and `wide`
template <int N, class T>
__device__ __forceinline__ void load_piece(const T* p, int count, bool wide, float (&out)[N]) {
  if (wide && count >= N) {
    load<N>(p, out);
  } else {
#pragma unroll
    for (int i = 0; i < N; i++) out[i] = i < count ? to_float(p[i]) : 0.f;
  }
}

template <int N, class T>
__device__ __forceinline__ void store_piece(T* p, int count, bool wide, const float (&in)[N]) {
  if (wide && count >= N) {
    store<N>(p, in);
  } else {
#pragma unroll
    for (int i = 0; i < N; i++)
      if (i < count) p[i] = from_float<T>(in[i]);
  }
}

// value[i] += float(bias[column + i]) for i < count; nothing when bias is null
template <int N, class T>
__device__ __forceinline__ void add_bias(const T* bias, int column, int count, bool wide, float (&value)[N]) {
  if (bias == nullptr) return;
  float b[N];
  load_piece(bias + column, count, wide, b);
#pragma unroll
  for (int i = 0; i < N; i++) value[i] += b[i];
}

// Sum over the block in a fixed order; every thread gets it. `partial` holds one value a warp and is free again afterwards.
template <int Warps, class T>
__device__ __forceinline__ T block_sum(T value, T (&partial)[Warps]) {
  value = warp_sum(value);
  if ((threadIdx.x & 31) == 0) partial[threadIdx.x >> 5] = value;
  __syncthreads();
  T total = partial[0];
#pragma unroll
  for (int w = 1; w < Warps; w++) total += partial[w];
  __syncthreads();
  return total;
}

template <int Warps, class T>
__device__ __forceinline__ T block_max(T value, T (&partial)[Warps]) {
  value = warp_max(value);
  if ((threadIdx.x & 31) == 0) partial[threadIdx.x >> 5] = value;
  __syncthreads();
  T total = partial[0];
#pragma unroll
  for (int w = 1; w < Warps; w++) total = max(total, partial[w]);
  __syncthreads();
  return total;
}

}  // namespace dvl
