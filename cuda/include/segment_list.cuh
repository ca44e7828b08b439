// SPDX-License-Identifier: Apache-2.0
// The segments that see some slots, found by a block.
#pragma once
#include "segment.cuh"

namespace dvl {

// Lists those of the segments [first, first + kTests * threads) of `count` that see a slot of [begin, end), in order; returns how many.
// Called by all threads of a block.
template <int kTests, int kThreads>
__device__ __forceinline__ int list_segments(const Segment* segments, int first, int count, int begin, int end,
                                             int (&list)[kTests * kThreads]) {
  constexpr int kWarps = kThreads / 32;
  DVL_SHARED(int[kTests * kWarps], found);  // by test and warp
  const int warp = threadIdx.x >> 5, lane = threadIdx.x & 31;
  unsigned seen[kTests];
#pragma unroll
  for (int i = 0; i < kTests; i++) {
    const int s = first + i * kThreads + int(threadIdx.x);
    bool sees = false;
    if (s < count) sees = segments[s].first_row_that_sees(begin, end) < segments[s].rows;
    seen[i] = dvl::ballot(sees);
    if (lane == 0) found[i * kWarps + warp] = __popc(seen[i]);
  }
  __syncthreads();
  int total = 0;
#pragma unroll
  for (int i = 0; i < kTests; i++) {
#pragma unroll
    for (int w = 0; w < kWarps; w++) {
      if (w == warp && (seen[i] >> lane & 1)) list[total + __popc(seen[i] & ((1u << lane) - 1))] = first + i * kThreads + int(threadIdx.x);
      total += found[i * kWarps + w];
    }
  }
  __syncthreads();
  return total;
}

}  // namespace dvl
