// SPDX-License-Identifier: Apache-2.0
// What the blocks of one grid tell each other without a second launch.
#pragma once
#include "dvl.cuh"

namespace dvl {

// Called by every thread of each of `blocks` blocks, once per launch for each counter. True in the block that comes last: it may
// read what the others wrote to global memory before they came (with __ldcg: not from its own L1). Which block that is depends
// on timing, so what it computes must not: let it go through the others' results in a fixed order.
// The counter must be 0 before the launch, and is 0 again after it.
//
// Thread 0 fences for its block, between two barriers: the first makes what the others wrote a part of what its fence publishes, the
// second hands on what its fence lets be seen (causality order is transitive; cooperative groups rely on the same). A fence by every
// thread before the first barrier, and none by thread 0 behind it, would be right only because __threadfence is sequentially consistent.
__device__ __forceinline__ bool last_block(unsigned* counter, unsigned blocks DVL_SITE) {
  __syncthreads();
  bool last = false;
  if (threadIdx.x == 0) {
    __threadfence();
#ifdef DVL_EMULATED
    last = ::emu::arrive(counter, blocks - 1, site) == blocks - 1;
#else
    last = atomicInc(counter, blocks - 1) == blocks - 1;  // wraps round to 0
#endif
    __threadfence();
  }
  return __syncthreads_or(last);
}

// ---- programmatic dependent launch (compute capability 9.0): grids of a stream that overlap. Without the attribute at their
// launches, and on other devices, both do nothing.

// The next grid of the stream may start as soon as all blocks of this one have said so or ended, where there is room.
__device__ __forceinline__ void let_next_grid_start() {
#if !defined(DVL_EMULATED) && __CUDA_ARCH__ >= 900
  asm volatile("griddepcontrol.launch_dependents;\n" ::: "memory");
#endif
}

// Waits until the grids before this one have ended and what they wrote is visible. Nothing that they write may be read, and
// nothing that they read written, before it.
__device__ __forceinline__ void wait_for_previous_grid() {
#if !defined(DVL_EMULATED) && __CUDA_ARCH__ >= 900
  asm volatile("griddepcontrol.wait;\n" ::: "memory");
#endif
}

// Asks for the 128-byte line that holds p to be brought into the L2 cache, where grids can overlap; these devices have a large one.
__device__ __forceinline__ void prefetch_line(const void* p) {
#if !defined(DVL_EMULATED) && __CUDA_ARCH__ >= 900
  asm volatile("prefetch.global.L2 [%0];\n" ::"l"(p));
#endif
}

}  // namespace dvl
