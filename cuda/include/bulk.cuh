// SPDX-License-Identifier: Apache-2.0
// Bulk copies, global -> shared, and the mbarriers that count them: compute capability 9.0 and newer. A kernel that uses them is built for
// nothing older. One thread asks for thousands of bytes by one instruction; they are there for a thread that has waited for the mbarrier's
// phase.
#pragma once
#include "dvl.cuh"

#if defined(DVL_EMULATED) || __CUDA_ARCH__ >= 900

namespace dvl {

// CUtensorMap: a tensor and the box that a copy takes of it, dimensions from the innermost one on. A parameter of a kernel:
// `const __grid_constant__ dvl::TensorMap map`.
struct alignas(64) TensorMap {
  unsigned char bytes[128];
};

// A phase ends with so many arrivals, and when all expected bytes have come. By one thread, then mbarriers_ready() by it, then a barrier.
__device__ __forceinline__ void mbarrier_init(uint64_t* barrier, unsigned arrivals DVL_SITE) {
#ifdef DVL_EMULATED
  ::emu::mbarrier_init(barrier, arrivals, site);
#else
  asm volatile("mbarrier.init.shared::cta.b64 [%0], %1;\n" ::"r"(shared_address(barrier)), "r"(arrivals) : "memory");
#endif
}
__device__ __forceinline__ void mbarriers_ready(DVL_SITE_ONLY) {
#ifdef DVL_EMULATED
  ::emu::mbarrier_fence(site);
#else
  asm volatile("fence.mbarrier_init.release.cluster;\n" ::: "memory");
#endif
}

// Arrives. What this thread did before is seen by whoever waits for the phase.
__device__ __forceinline__ void mbarrier_arrive(uint64_t* barrier DVL_SITE) {
#ifdef DVL_EMULATED
  ::emu::mbarrier_arrive(barrier, 1, site);
#else
  asm volatile("mbarrier.arrive.shared::cta.b64 _, [%0];\n" ::"r"(shared_address(barrier)) : "memory");
#endif
}

// Arrives, and says that copies bring so many bytes in this phase.
__device__ __forceinline__ void mbarrier_arrive_expecting(uint64_t* barrier, unsigned bytes DVL_SITE) {
#ifdef DVL_EMULATED
  ::emu::mbarrier_expect(barrier, bytes, site);
  ::emu::mbarrier_arrive(barrier, 1, site);
#else
  asm volatile("mbarrier.arrive.expect_tx.shared::cta.b64 _, [%0], %1;\n" ::"r"(shared_address(barrier)), "r"(bytes) : "memory");
#endif
}

// Waits for the end of a phase: the first one has parity 0, the next 1, then 0. A phase that has not begun counts as the one before it,
// so the wait for parity 1 of a new mbarrier returns at once.
__device__ __forceinline__ void mbarrier_wait(uint64_t* barrier, unsigned parity DVL_SITE) {
#ifdef DVL_EMULATED
  ::emu::mbarrier_wait(barrier, parity, site);
#else
  unsigned done;
  do {
    asm volatile("{\n.reg .pred p;\nmbarrier.try_wait.parity.shared::cta.b64 p, [%1], %2;\nselp.u32 %0, 1, 0, p;\n}\n"
                 : "=r"(done)
                 : "r"(shared_address(barrier)), "r"(parity)
                 : "memory");
  } while (done == 0);
#endif
}

#ifndef DVL_EMULATED
namespace detail {
// For what is read once: the first to leave the L2 cache.
__device__ __forceinline__ uint64_t read_once() {
  uint64_t policy;
  asm("createpolicy.fractional.L2::evict_first.b64 %0, 1.0;" : "=l"(policy));
  return policy;
}
}  // namespace detail
#endif

// Copies `bytes`, a multiple of 16, between addresses that are multiples of 16.
__device__ __forceinline__ void bulk_copy_once(void* shared, const void* global, unsigned bytes, uint64_t* barrier DVL_SITE) {
#ifdef DVL_EMULATED
  ::emu::bulk_copy(shared, global, bytes, barrier, site);
#else
  asm volatile("cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes.L2::cache_hint [%0], [%1], %2, [%3], %4;\n" ::"r"(
                   shared_address(shared)),
               "l"(global), "r"(bytes), "r"(shared_address(barrier)), "l"(detail::read_once())
               : "memory");
#endif
}

// Copies the box at (x, y, z) of a tensor of three dimensions, zeros where it is outside; all of the box's bytes are counted. `shared` is a
// multiple of 128.
__device__ __forceinline__ void box_copy_once(void* shared, const TensorMap* map, int x, int y, int z, uint64_t* barrier DVL_SITE) {
#ifdef DVL_EMULATED
  const int at[] = {x, y, z};
  ::emu::tensor_copy(shared, map, 3, at, barrier, site);
#else
  asm volatile(
      "cp.async.bulk.tensor.3d.shared::cluster.global.tile.mbarrier::complete_tx::bytes.L2::cache_hint [%0], [%1, {%2, %3, %4}], [%5], "
      "%6;\n" ::"r"(shared_address(shared)),
      "l"(map), "r"(x), "r"(y), "r"(z), "r"(shared_address(barrier)), "l"(detail::read_once())
      : "memory");
#endif
}

// Asks for the same to be brought into the L2 cache.
__device__ __forceinline__ void bulk_prefetch([[maybe_unused]] const void* global, [[maybe_unused]] unsigned bytes) {
#ifndef DVL_EMULATED
  asm volatile("cp.async.bulk.prefetch.L2.global [%0], %1;\n" ::"l"(global), "r"(bytes) : "memory");
#endif
}
__device__ __forceinline__ void box_prefetch([[maybe_unused]] const TensorMap* map, [[maybe_unused]] int x, [[maybe_unused]] int y,
                                             [[maybe_unused]] int z) {
#ifndef DVL_EMULATED
  asm volatile("cp.async.bulk.prefetch.tensor.3d.L2.global.tile [%0, {%1, %2, %3}];\n" ::"l"(map), "r"(x), "r"(y), "r"(z) : "memory");
#endif
}

}  // namespace dvl

#endif
