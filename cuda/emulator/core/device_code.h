// SPDX-License-Identifier: Apache-2.0
// What a kernel compiled by g++ sees instead of the CUDA runtime: keywords, built-in variables, collectives, launch glue.
// The functions declared here live in the emulated libcuda.so.1; they must be called by a running CUDA thread.
#pragma once
#ifdef __CUDACC__
#error "device_code.h is for the host compiler"
#endif
#include <immintrin.h>
#include <math.h>  // not <cmath>: kernels use isnan, fabsf, ... without std::
#include <stdlib.h>

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <source_location>
#include <type_traits>
#include <utility>

#include "bfloat16.h"
#include "core.h"
#include "cuda_vectors.h"
#include "float16.h"

// After every standard header: libstdc++ uses some of these as attribute names.
#define __global__
#define __device__
#define __host__
#define __constant__ static
#define __forceinline__ inline __attribute__((always_inline))
#define __launch_bounds__(...)
#define __grid_constant__
#define __align__(n) alignas(n)

namespace emu {

// Where in the kernel's source: of the call that is being compiled, or of an instruction of PTX.
struct Site {
  const char* file = "";
  uint32_t line = 0, column = 0;

  constexpr Site() = default;
  constexpr Site(const char* file, uint32_t line, uint32_t column) : file(file), line(line), column(column) {}
  constexpr Site(std::source_location l) : file(l.file_name()), line(l.line()), column(l.column()) {}
};

// ---- the built-in variables of the running CUDA thread
struct ThreadView {
  uint3 thread;
  uint32_t linear, lane, warp;  // index in the block, in its warp; index of its warp
};
struct BlockView {
  uint3 block;
  dim3 block_dim, grid_dim;
};
// initial-exec: one instruction a read, and few enough bytes to fit the loader's reserve when dlopen'ed.
extern EMU_API constinit thread_local ThreadView* self __attribute__((tls_model("initial-exec")));
extern EMU_API constinit thread_local BlockView view __attribute__((tls_model("initial-exec")));

// ---- block barrier; the result is the vote of __syncthreads_count / _and / _or
enum class Vote : uint8_t { kNone, kCount, kAnd, kOr };
EMU_API int block_barrier(int predicate, Vote vote, Site site);

// ---- warp collectives: every lane of `mask` must come to the same call
enum class Reduce : uint8_t { kBallot, kMatch, kAdd, kMin, kMax, kAnd, kOr, kXor };
EMU_API void warp_barrier(uint32_t mask, Site site);
EMU_API uint64_t warp_shuffle(uint32_t mask, uint64_t value, int source_lane, Site site);
EMU_API uint32_t warp_reduce(uint32_t mask, uint32_t value, Reduce how, Site site);
// Combines the values of all 32 lanes in place; run once for the warp, by whichever lane comes last.
using Combine = void (*)(uint64_t (&lanes)[32]);
EMU_API uint64_t warp_combine(uint64_t value, Combine combine, Site site);
EMU_API void ldmatrix(uint32_t* r, int tiles, const void* row, bool transposed, Site site);
EMU_API void mma(float* d, const uint32_t* a, uint32_t b0, uint32_t b1, bool f16, Site site);  // of f16, else of bf16

// ---- asynchronous copies: take place as late as allowed, at the wait (option cp)
EMU_API void cp_async(void* shared, const void* global, uint32_t bytes, uint32_t valid, Site site);
EMU_API void cp_async_commit();
EMU_API void cp_async_wait(int groups_in_flight);

// ---- mbarriers and bulk copies (compute capability 9.0). An mbarrier counts arrivals, and bytes that were expected and have not come.
// A bulk copy of one thread takes place at any time from its issue on (option cp; by default when no thread can go on) and takes its bytes
// off the count. `tensor_copy` copies a box of a tensor map (tensor_map.h), zeros where it is outside the tensor.
EMU_API void mbarrier_init(void* barrier, uint32_t arrivals, Site site);
EMU_API void mbarrier_fence(Site site);  // copies may name the mbarriers that this thread has initialised
EMU_API void mbarrier_expect(void* barrier, uint32_t bytes, Site site);
EMU_API void mbarrier_arrive(void* barrier, uint32_t arrivals, Site site);
EMU_API void mbarrier_wait(void* barrier, uint32_t parity, Site site);  // until the phase of that parity is complete
EMU_API bool mbarrier_test(void* barrier, uint32_t parity, Site site);  // whether it is
EMU_API void bulk_copy(void* shared, const void* global, uint32_t bytes, void* barrier, Site site);
EMU_API void tensor_copy(void* shared, const void* map, int rank, const int32_t* at, void* barrier, Site site);

// ---- between blocks: the old value of the counter, which goes on to the next one, after `last` to 0. For the check build this
// orders what blocks did before they arrived before what later ones do afterwards.
EMU_API unsigned arrive(unsigned* counter, unsigned last, Site site);

// ---- shared memory of the running block
EMU_API void* dynamic_shared();
EMU_API void* static_shared(const void* key, size_t size, size_t align, const char* name);

EMU_API void yield_thread(Site site);                       // lets every other ready thread of the block run first
[[noreturn]] EMU_API void trap(const char* why, Site site);  // ends the launch with a report

// ---- launch glue: a thunk, and sizes and kinds of the parameters from the kernel's own signature
template <class T>
constexpr char kind_of = std::is_pointer_v<T>          ? 'p'
                         : std::is_floating_point_v<T> ? 'f'
                         : std::is_integral_v<T> || std::is_enum_v<T> ? 'i'
                                                       : '?';

template <class F>
struct Signature;
template <class... A>
struct Signature<void (*)(A...)> {
  static constexpr int kCount = sizeof...(A);
  static constexpr uint32_t kSize[sizeof...(A) + 1] = {sizeof(A)..., 0};
  static constexpr char kKind[sizeof...(A) + 1] = {kind_of<std::remove_cv_t<A>>..., 0};
  template <auto kKernel, size_t... kIndex>
  static void call(void** args, std::index_sequence<kIndex...>) {
    kKernel(*static_cast<std::remove_cv_t<A>*>(args[kIndex])...);
  }
  template <auto kKernel>
  static void thunk(const Kernel&, void** args) {
    call<kKernel>(args, std::index_sequence_for<A...>{});
  }
};

}  // namespace emu

#define EMU_EXPORT(kernel)                                                                        \
  static const ::emu::Kernel kernel##_registration(#kernel, __FILE__,                             \
                                                   &::emu::Signature<decltype(&kernel)>::thunk<&kernel>, \
                                                   ::emu::Signature<decltype(&kernel)>::kCount,   \
                                                   ::emu::Signature<decltype(&kernel)>::kSize,    \
                                                   ::emu::Signature<decltype(&kernel)>::kKind)

#define threadIdx (::emu::self->thread)
#define blockIdx (::emu::view.block)
#define blockDim (::emu::view.block_dim)
#define gridDim (::emu::view.grid_dim)
static constexpr int warpSize = 32;

#include "intrinsics.h"
