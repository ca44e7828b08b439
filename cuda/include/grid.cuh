// SPDX-License-Identifier: Apache-2.0
// What the blocks of one grid tell each other without a second launch.
#pragma once
#include "dvl.cuh"

namespace dvl {

// Called by every thread of each of `blocks` blocks, once a launch for each counter. True in the block that comes last: it may
// read what the others wrote to global memory before they came (with __ldcg: not from its own L1). Which block that is depends
// on timing, so what it computes must not: let it go through the others' results in a fixed order.
// The counter must be 0 before the launch, and is 0 again after it.
__device__ __forceinline__ bool last_block(unsigned* counter, unsigned blocks DVL_SITE) {
  __threadfence();  // what this thread wrote, before ...
  __syncthreads();  // ... thread 0 speaks for the block
  bool last = false;
  if (threadIdx.x == 0) {
#ifdef DVL_EMULATED
    last = ::emu::arrive(counter, blocks - 1, site) == blocks - 1;
#else
    last = atomicInc(counter, blocks - 1) == blocks - 1;  // wraps round to 0
#endif
  }
  last = __syncthreads_or(last);
  __threadfence();
  return last;
}

}  // namespace dvl
