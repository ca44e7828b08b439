// SPDX-License-Identifier: Apache-2.0
// Everything a kernel may use beyond plain CUDA C++. The only file with inline PTX.
//
// nvcc compiles these wrappers to PTX; g++ (-DDVL_EMULATED, no CUDA toolkit needed) to calls of the emulated device.
// Wrappers named *_sync-like (shuffle_*, warp_*, ldmatrix, mma) must be reached by all 32 lanes of a warp together.
#pragma once
#ifdef DVL_EMULATED
#include "device_code.h"
#else
#include <cuda_bf16.h>
#include <cuda_fp16.h>

#include <cmath>
#include <cstdint>
#endif

// ---- shared memory and export
//   DVL_SHARED(float[32], partial);               float (&partial)[32], aligned as float
//   DVL_SHARED_ALIGNED(16, bf16[64 * 72], tile);  the same, at a multiple of 16 bytes
//   DVL_DYN_SHARED(bytes);                        unsigned char*, 1024-byte aligned, as long as the launch says
//   DVL_EXPORT(op_bf16);                          after each kernel: makes it known to the emulated device
#ifdef DVL_EMULATED
#define DVL_SHARED_ALIGNED(alignment, T, name)                                                                    \
  using name##_shared_t = T;                                                                                      \
  static char name##_shared_key;                                                                                  \
  name##_shared_t& name = *static_cast<name##_shared_t*>(                                                         \
      ::emu::static_shared(&name##_shared_key, sizeof(name##_shared_t),                                           \
                           alignof(name##_shared_t) > (alignment) ? alignof(name##_shared_t) : (alignment), #name))
#define DVL_SHARED(T, name) DVL_SHARED_ALIGNED(1, T, name)
#define DVL_DYN_SHARED(name) unsigned char* name = static_cast<unsigned char*>(::emu::dynamic_shared())
#define DVL_EXPORT(kernel) EMU_EXPORT(kernel)
#define DVL_SITE , ::emu::Site site = std::source_location::current()
#define DVL_SITE_ONLY ::emu::Site site = std::source_location::current()
#define DVL_HERE , site
#else
#define DVL_SHARED_ALIGNED(alignment, T, name) \
  using name##_shared_t = T;                   \
  __shared__ __align__(alignment) name##_shared_t name
#define DVL_SHARED(T, name)  \
  using name##_shared_t = T; \
  __shared__ name##_shared_t name
#define DVL_DYN_SHARED(name) extern __shared__ __align__(1024) unsigned char name[]
#define DVL_EXPORT(kernel) static_assert(true, "")
#define DVL_SITE
#define DVL_SITE_ONLY
#define DVL_HERE
#endif

namespace dvl {

#ifdef DVL_EMULATED
using bf16 = ::emu::bf16;
using f16 = ::emu::f16;
#else
using bf16 = __nv_bfloat16;
using f16 = __half;
#endif

template <class T>
constexpr bool kIsF16 = false;
template <>
inline constexpr bool kIsF16<f16> = true;

constexpr unsigned kAllLanes = 0xffffffffu;
constexpr float kLog2E = 1.4426950408889634f;

// ---- storage types: bf16, f16 and float

__device__ __forceinline__ float to_float(float v) { return v; }
__device__ __forceinline__ float to_float(bf16 v) {
#ifdef DVL_EMULATED
  return ::emu::bf16_to_float(v);
#else
  return __bfloat162float(v);
#endif
}
__device__ __forceinline__ float to_float(f16 v) {
#ifdef DVL_EMULATED
  return ::emu::f16_to_float(v);
#else
  return __half2float(v);
#endif
}

// f32 -> T, to nearest, ties to even; f16: infinity past 65504
template <class T>
__device__ __forceinline__ T from_float(float v);
template <>
__device__ __forceinline__ float from_float<float>(float v) {
  return v;
}
template <>
__device__ __forceinline__ bf16 from_float<bf16>(float v) {
#ifdef DVL_EMULATED
  return ::emu::bf16_from_float(v);
#else
  return __float2bfloat16_rn(v);
#endif
}
template <>
__device__ __forceinline__ f16 from_float<f16>(float v) {
#ifdef DVL_EMULATED
  return ::emu::f16_from_float(v);
#else
  return __float2half_rn(v);
#endif
}

// f32 -> T -> f32: one of the reference's rounding points
template <class T>
__device__ __forceinline__ float round_to(float v) {
  return to_float(from_float<T>(v));
}

// ---- pairs: two numbers of 16 bits, T = bf16 or f16, in a register; `low` in the low half (the lower address)
template <class T>
__device__ __forceinline__ uint32_t pack_pair(float low, float high) {
  const T pair[2] = {from_float<T>(low), from_float<T>(high)};
  return *reinterpret_cast<const uint32_t*>(pair);
}
#ifndef DVL_EMULATED
template <>
__device__ __forceinline__ uint32_t pack_pair<bf16>(float low, float high) {
  const __nv_bfloat162 pair = __floats2bfloat162_rn(low, high);
  return *reinterpret_cast<const uint32_t*>(&pair);
}
template <>
__device__ __forceinline__ uint32_t pack_pair<f16>(float low, float high) {
  const __half2 pair = __floats2half2_rn(low, high);
  return *reinterpret_cast<const uint32_t*>(&pair);
}
#endif
template <class T>
__device__ __forceinline__ float low_of(uint32_t pair) {
  const auto bits = static_cast<uint16_t>(pair);
  return to_float(*reinterpret_cast<const T*>(&bits));
}
template <class T>
__device__ __forceinline__ float high_of(uint32_t pair) {
  return low_of<T>(pair >> 16);
}
// a * b + c of both halves, each rounded once (emulated: through f32, the same wherever that sum is exact)
template <class T>
__device__ __forceinline__ uint32_t fma_pair(uint32_t a, uint32_t b, uint32_t c) {
#ifdef DVL_EMULATED
  return pack_pair<T>(::fmaf(low_of<T>(a), low_of<T>(b), low_of<T>(c)), ::fmaf(high_of<T>(a), high_of<T>(b), high_of<T>(c)));
#else
  uint32_t d;
  if constexpr (kIsF16<T>) asm("fma.rn.f16x2 %0, %1, %2, %3;" : "=r"(d) : "r"(a), "r"(b), "r"(c));
  else asm("fma.rn.bf16x2 %0, %1, %2, %3;" : "=r"(d) : "r"(a), "r"(b), "r"(c));
  return d;
#endif
}

// ---- vectors of N elements through 16-, 8- or 4-byte accesses; p must be aligned to min(16, N * sizeof(T)) bytes
namespace detail {
template <int Bytes>
struct Word;
template <>
struct Word<4> {
  using Type = uint32_t;
};
template <>
struct Word<8> {
  using Type = uint2;
};
template <>
struct Word<16> {
  using Type = uint4;
};
// One word seen as elements; the compiler keeps it in registers because every index is known after unrolling.
template <class T, int Bytes>
union Cast {
  typename Word<Bytes>::Type word;
  T element[Bytes / sizeof(T)];
  __device__ __forceinline__ Cast() {}
};
template <class T, int N>
constexpr int kWordBytes = N * int(sizeof(T)) < 16 ? N * int(sizeof(T)) : 16;
}  // namespace detail

// out[i] = float(p[i]), i < N; N * sizeof(T) = 4, 8 or a multiple of 16 bytes
template <int N, class T>
__device__ __forceinline__ void load(const T* p, float (&out)[N]) {
  constexpr int bytes = detail::kWordBytes<T, N>, each = bytes / int(sizeof(T));
  static_assert(N % each == 0, "a whole number of words");
#pragma unroll
  for (int w = 0; w < N / each; w++) {
    detail::Cast<T, bytes> cast;
    cast.word = reinterpret_cast<const typename detail::Word<bytes>::Type*>(p)[w];
#pragma unroll
    for (int i = 0; i < each; i++) out[w * each + i] = to_float(cast.element[i]);
  }
}

// p[i] = T(in[i]), rounded to nearest even
template <int N, class T>
__device__ __forceinline__ void store(T* p, const float (&in)[N]) {
  constexpr int bytes = detail::kWordBytes<T, N>, each = bytes / int(sizeof(T));
  static_assert(N % each == 0, "a whole number of words");
#pragma unroll
  for (int w = 0; w < N / each; w++) {
    detail::Cast<T, bytes> cast;
#pragma unroll
    for (int i = 0; i < each; i++) cast.element[i] = from_float<T>(in[w * each + i]);
    reinterpret_cast<typename detail::Word<bytes>::Type*>(p)[w] = cast.word;
  }
}

// Moves 16 bytes; both addresses 16-byte aligned.
__device__ __forceinline__ void copy16(void* to, const void* from) {
  *static_cast<uint4*>(to) = *static_cast<const uint4*>(from);
}
__device__ __forceinline__ void zero16(void* to) { *static_cast<uint4*>(to) = make_uint4(0, 0, 0, 0); }

// ---- arithmetic

// 2^x, about 2 ulp, denormals flushed; exp2_fast(-inf) = 0
__device__ __forceinline__ float exp2_fast(float x) {
#ifdef DVL_EMULATED
  return ::exp2f(x);
#else
  float y;
  asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
  return y;
#endif
}

// sin and cos of pi * x for |x| < 2^15, about 2 ulp; no slow path, hence no local memory
__device__ __forceinline__ void sincos_pi(float x, float& sine, float& cosine) {
#ifdef DVL_EMULATED
  ::sincosf(3.14159265358979f * x, &sine, &cosine);
#else
  ::sincospif(x, &sine, &cosine);
#endif
}

// sum[i] = fma(p[i], factor, sum[i]); p 16-byte aligned
__device__ __forceinline__ void add_scaled(float (&sum)[8], const float* p, float factor) {
#ifdef DVL_EMULATED
  ::emu::add_scaled(sum, p, factor);
#else
  float value[8];
  load<8>(p, value);
#pragma unroll
  for (int i = 0; i < 8; i++) sum[i] = __fmaf_rn(value[i], factor, sum[i]);
#endif
}

// ---- the warp: T = float, double, int, unsigned (any trivially copyable 4- or 8-byte type for the shuffles)

template <class T>
__device__ __forceinline__ T shuffle(T v, int lane DVL_SITE) {
  return __shfl_sync(kAllLanes, v, lane, 32 DVL_HERE);
}
template <class T>
__device__ __forceinline__ T shuffle_xor(T v, int mask DVL_SITE) {
  return __shfl_xor_sync(kAllLanes, v, mask, 32 DVL_HERE);
}
template <class T>
__device__ __forceinline__ T shuffle_up(T v, unsigned delta DVL_SITE) {
  return __shfl_up_sync(kAllLanes, v, delta, 32 DVL_HERE);
}
template <class T>
__device__ __forceinline__ T shuffle_down(T v, unsigned delta DVL_SITE) {
  return __shfl_down_sync(kAllLanes, v, delta, 32 DVL_HERE);
}
__device__ __forceinline__ unsigned ballot(bool predicate DVL_SITE) {
  return __ballot_sync(kAllLanes, predicate DVL_HERE);
}

namespace detail {
struct Sum {
  template <class T>
  __device__ __forceinline__ T operator()(T a, T b) const {
    return a + b;
  }
};
struct Max {
  template <class T>
  __device__ __forceinline__ T operator()(T a, T b) const {
    return max(a, b);
  }
};
struct Min {
  template <class T>
  __device__ __forceinline__ T operator()(T a, T b) const {
    return min(a, b);
  }
};
template <int Width, class T, class Op>
__device__ __forceinline__ T butterfly(T v, Op op DVL_SITE) {
  static_assert(Width == 2 || Width == 4 || Width == 8 || Width == 16 || Width == 32, "a power of two");
#ifdef DVL_EMULATED
  return ::emu::warp_butterfly<Width>(v, op, site);
#else
#pragma unroll
  for (int offset = Width / 2; offset > 0; offset /= 2) v = op(v, shuffle_xor(v, offset));
  return v;
#endif
}
}  // namespace detail

// All lanes get the result; the tree (offsets 16, 8, 4, 2, 1) is fixed, so the bits are too. Width 2, 4, 8 or 16: every group
// of so many lanes on its own. All 32 lanes must exist.
template <int Width = 32, class T>
__device__ __forceinline__ T warp_sum(T v DVL_SITE) {
  return detail::butterfly<Width>(v, detail::Sum() DVL_HERE);
}
template <int Width = 32, class T>
__device__ __forceinline__ T warp_max(T v DVL_SITE) {
  return detail::butterfly<Width>(v, detail::Max() DVL_HERE);
}
template <int Width = 32, class T>
__device__ __forceinline__ T warp_min(T v DVL_SITE) {
  return detail::butterfly<Width>(v, detail::Min() DVL_HERE);
}

// ---- asynchronous copies, global -> shared (16 bytes, bypassing L1)

#ifndef DVL_EMULATED
__device__ __forceinline__ uint32_t shared_address(const void* p) {
  return static_cast<uint32_t>(__cvta_generic_to_shared(p));
}
#endif

// predicate false: writes 16 zero bytes and does not read `global` (which must still be a valid pointer value)
__device__ __forceinline__ void cp_async16(void* shared, const void* global, bool predicate = true DVL_SITE) {
#ifdef DVL_EMULATED
  ::emu::cp_async(shared, global, 16, predicate ? 16 : 0, site);
#else
  const int bytes = predicate ? 16 : 0;
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;\n" ::"r"(shared_address(shared)), "l"(global), "r"(bytes)
               : "memory");
#endif
}
// The same for what is read once (weights): the first to leave the L2 cache, so that activations stay.
__device__ __forceinline__ void cp_async16_once(void* shared, const void* global, bool predicate = true DVL_SITE) {
#ifdef DVL_EMULATED
  ::emu::cp_async(shared, global, 16, predicate ? 16 : 0, site);
#else
  uint64_t policy;
  asm("createpolicy.fractional.L2::evict_first.b64 %0, 1.0;" : "=l"(policy));
  const int bytes = predicate ? 16 : 0;
  asm volatile("cp.async.cg.shared.global.L2::cache_hint [%0], [%1], 16, %2, %3;\n" ::"r"(shared_address(shared)), "l"(global),
               "r"(bytes), "l"(policy)
               : "memory");
#endif
}
__device__ __forceinline__ void cp_async_commit() {
#ifdef DVL_EMULATED
  ::emu::cp_async_commit();
#else
  asm volatile("cp.async.commit_group;\n" ::: "memory");
#endif
}
// Waits until at most N of this thread's latest groups are in flight; other threads need a barrier after it.
template <int N>
__device__ __forceinline__ void cp_async_wait() {
#ifdef DVL_EMULATED
  ::emu::cp_async_wait(N);
#else
  asm volatile("cp.async.wait_group %0;\n" ::"n"(N) : "memory");
#endif
}

// ---- tensor cores (m16n8k16, bf16 or f16 in, f32 accumulate)

// Four 8x8 tiles of 16-bit elements: lane l gives the address of row l % 8 of tile l / 8 (16 bytes, 16-byte aligned,
// shared memory) and gets in r[i] the elements (l / 4, 2 * (l % 4)) and + 1 of tile i; of its transpose if Transposed.
template <bool Transposed>
__device__ __forceinline__ void ldmatrix_x4(uint32_t (&r)[4], const void* row DVL_SITE) {
#ifdef DVL_EMULATED
  ::emu::ldmatrix(r, 4, row, Transposed, site);
#else
  const uint32_t address = shared_address(row);
  if constexpr (Transposed)
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0,%1,%2,%3}, [%4];\n"
                 : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
                 : "r"(address)
                 : "memory");
  else
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0,%1,%2,%3}, [%4];\n"
                 : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
                 : "r"(address)
                 : "memory");
#endif
}

// The same of two tiles: lanes 0 to 15 give the addresses, the others any valid one.
__device__ __forceinline__ void ldmatrix_x2(uint32_t (&r)[2], const void* row DVL_SITE) {
#ifdef DVL_EMULATED
  ::emu::ldmatrix(r, 2, row, false, site);
#else
  asm volatile("ldmatrix.sync.aligned.m8n8.x2.shared.b16 {%0,%1}, [%2];\n"
               : "=r"(r[0]), "=r"(r[1])
               : "r"(shared_address(row))
               : "memory");
#endif
}

// d += A (16x16, row-major) * B (16x8, column-major). With g = lane / 4, t = lane % 4, pairs packed low first:
//   a[0] = A[g][2t..], a[1] = A[g+8][2t..], a[2] = A[g][2t+8..], a[3] = A[g+8][2t+8..]
//   b0 = B[2t..][g], b1 = B[2t+8..][g];  d[0], d[1] = D[g][2t], D[g][2t+1];  d[2], d[3] = D[g+8][2t], D[g+8][2t+1]
template <class T>
__device__ __forceinline__ void mma(float (&d)[4], const uint32_t (&a)[4], uint32_t b0, uint32_t b1 DVL_SITE) {
#ifdef DVL_EMULATED
  ::emu::mma(d, a, b0, b1, kIsF16<T>, site);
#else
#define DVL_MMA(type)                                                                                                             \
  asm volatile("mma.sync.aligned.m16n8k16.row.col.f32." type "." type ".f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};\n" \
               : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])                                                                   \
               : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1))
  if constexpr (kIsF16<T>) DVL_MMA("f16");
  else DVL_MMA("bf16");
#undef DVL_MMA
#endif
}

}  // namespace dvl

using dvl::bf16;
using dvl::f16;
