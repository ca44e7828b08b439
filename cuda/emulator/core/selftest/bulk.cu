// SPDX-License-Identifier: Apache-2.0
// mbarriers and bulk copies: right use, and one bug each.
#include "bulk.cuh"

namespace {
constexpr int kLines = 16, kWidth = 64;  // of a box, in 16-bit elements

__device__ void ready(uint64_t* barrier, int arrivals) {
  if (threadIdx.x == 0) {
    dvl::mbarrier_init(barrier, arrivals);
    dvl::mbarriers_ready();
  }
  __syncthreads();
}

__device__ void put_out(const uint16_t* tile, uint16_t* out) {
  for (int i = threadIdx.x; i < kLines * kWidth; i += blockDim.x) out[i] = tile[i];
}
}  // namespace

// The box of `map` at (x, y, z), as it lies in shared memory.
extern "C" __global__ void box(const __grid_constant__ dvl::TensorMap map, int x, int y, int z, uint16_t* out) {
  DVL_DYN_SHARED(memory);
  DVL_SHARED(uint64_t, barrier);
  ready(&barrier, 1);
  if (threadIdx.x == 0) {
    dvl::mbarrier_arrive_expecting(&barrier, kLines * kWidth * 2);
    dvl::box_copy_once(memory, &map, x, y, z, &barrier);
  }
  dvl::mbarrier_wait(&barrier, 0);
  put_out(reinterpret_cast<uint16_t*>(memory), out);
}
DVL_EXPORT(box);

// Chunks of `in` through a ring of two stages: one warp copies, another adds up.
extern "C" __global__ void ring(const float* in, float* out, int chunks) {
  DVL_SHARED_ALIGNED(16, float[64], stage);
  DVL_SHARED(uint64_t[2], full);
  DVL_SHARED(uint64_t[2], empty);
  if (threadIdx.x == 0) {
    for (int s = 0; s < 2; s++) dvl::mbarrier_init(full + s, 1), dvl::mbarrier_init(empty + s, 32);
    dvl::mbarriers_ready();
  }
  __syncthreads();
  float sum = 0;
  for (int i = 0; i < chunks; i++) {
    const int s = i % 2;
    const unsigned parity = i / 2 % 2;
    if (threadIdx.x == 0) {
      dvl::mbarrier_wait(empty + s, parity ^ 1);
      dvl::mbarrier_arrive_expecting(full + s, 128);
      dvl::bulk_copy_once(stage + s * 32, in + i * 32, 128, full + s);
    } else if (threadIdx.x >= 32) {
      dvl::mbarrier_wait(full + s, parity);
      sum += stage[s * 32 + threadIdx.x - 32];
      dvl::mbarrier_arrive(empty + s);
    }
  }
  if (threadIdx.x >= 32) out[threadIdx.x - 32] = sum;
}
DVL_EXPORT(ring);

// ---- bugs, by number; the line of each has its name
enum { kNotWaited, kOtherBarrier, kReused, kTooFew, kTooMany, kMisaligned, kSize, kNotReady, kArrivals, kNoInit, kOutside, kLeft,
       kUnordered };
extern "C" __global__ void bulk_bug(const float* in, float* out, int bug) {
  DVL_SHARED_ALIGNED(16, float[64], stage);
  DVL_SHARED(uint64_t[3], barrier);
  if (threadIdx.x == 0) {
    dvl::mbarrier_init(barrier, 1);
    dvl::mbarrier_init(barrier + 1, 1);
    if (bug != kNotReady) dvl::mbarriers_ready();
  }
  if (bug != kUnordered) __syncthreads();
  if (threadIdx.x == 0) {
    const int bytes = 128;
    if (bug == kTooFew) dvl::mbarrier_arrive_expecting(barrier, bytes / 2);
    else if (bug == kTooMany) dvl::mbarrier_arrive_expecting(barrier, bytes * 2);
    else dvl::mbarrier_arrive_expecting(barrier, bytes);
    if (bug == kMisaligned) dvl::bulk_copy_once(stage, in + 1, bytes, barrier);       // kMisaligned
    else if (bug == kSize) dvl::bulk_copy_once(stage, in, bytes + 4, barrier);        // kSize
    else if (bug == kNoInit) dvl::bulk_copy_once(stage, in, bytes, barrier + 2);      // kNoInit
    else if (bug == kOutside) dvl::bulk_copy_once(stage, in + 64, bytes, barrier);    // kOutside
    else dvl::bulk_copy_once(stage, in, bytes, barrier);                              // kNotReady kTooMany
    if (bug == kReused) dvl::bulk_copy_once(stage, in, bytes, barrier + 1);           // kReused
    if (bug == kOtherBarrier) {
      dvl::mbarrier_arrive(barrier + 1);
    }
    if (bug == kArrivals) {
      dvl::mbarrier_arrive(barrier + 1);
      dvl::mbarrier_arrive_expecting(barrier + 1, 16);
      dvl::mbarrier_arrive(barrier + 1);                                              // kArrivals
    }
  }
  if (bug == kOtherBarrier) dvl::mbarrier_wait(barrier + 1, 0);
  else if (bug == kUnordered) dvl::mbarrier_wait(barrier, 0);                         // kUnordered
  else if (bug != kNotWaited && bug != kLeft) dvl::mbarrier_wait(barrier, 0);
  if (bug != kLeft) out[threadIdx.x] = stage[threadIdx.x];                            // kNotWaited kOtherBarrier
}
DVL_EXPORT(bulk_bug);
