// SPDX-License-Identifier: Apache-2.0
// CUDA's device functions for the emulated build, under their CUDA names. Included by device_code.h only.
#pragma once

// The caller's place in the source, for the reports.
#define EMU_SITE ::emu::Site site = std::source_location::current()

// ---- barriers and fences
inline void __syncthreads(EMU_SITE) { ::emu::block_barrier(0, ::emu::Vote::kNone, site); }
inline int __syncthreads_count(int p, EMU_SITE) { return ::emu::block_barrier(p, ::emu::Vote::kCount, site); }
inline int __syncthreads_and(int p, EMU_SITE) { return ::emu::block_barrier(p, ::emu::Vote::kAnd, site); }
inline int __syncthreads_or(int p, EMU_SITE) { return ::emu::block_barrier(p, ::emu::Vote::kOr, site); }
inline void __syncwarp(unsigned mask = 0xffffffffu, EMU_SITE) { ::emu::warp_barrier(mask, site); }
inline void __threadfence() { __atomic_thread_fence(__ATOMIC_SEQ_CST); }
inline void __threadfence_block() { __threadfence(); }
inline void __threadfence_system() { __threadfence(); }
inline void __nanosleep(unsigned, EMU_SITE) { ::emu::yield_thread(site); }
#define __trap() ::emu::trap("__trap()", std::source_location::current())

// ---- shuffles
namespace emu {
template <class T>
inline T shuffle_bits(unsigned mask, T value, int source, Site site) {
  static_assert(sizeof(T) <= 8 && std::is_trivially_copyable_v<T>, "at most 8 plain bytes");
  uint64_t bits = 0;
  std::memcpy(&bits, &value, sizeof(T));
  bits = warp_shuffle(mask, bits, source, site);
  std::memcpy(&value, &bits, sizeof(T));
  return value;
}

// The butterfly of shuffles `v = op(v, shuffle_xor(v, offset))`, offset = width / 2 ... 1, as one collective: the same
// operations in the same order, so the same bits, for a fifth of the switches.
template <int kWidth, class T, class Op>
inline T warp_butterfly(T value, Op, Site site) {
  static_assert(sizeof(T) <= 8 && std::is_trivially_copyable_v<T>, "at most 8 plain bytes");
  uint64_t bits = 0;
  std::memcpy(&bits, &value, sizeof(T));
  const Combine combine = [](uint64_t (&lanes)[32]) {
    T v[32], next[32];
    for (int lane = 0; lane < 32; lane++) std::memcpy(&v[lane], &lanes[lane], sizeof(T));
    for (int offset = kWidth / 2; offset > 0; offset /= 2) {
      for (int lane = 0; lane < 32; lane++) next[lane] = Op()(v[lane], v[lane ^ offset]);
      std::memcpy(v, next, sizeof v);
    }
    for (int lane = 0; lane < 32; lane++) std::memcpy(&lanes[lane], &v[lane], sizeof(T));
  };
  bits = warp_combine(bits, combine, site);
  std::memcpy(&value, &bits, sizeof(T));
  return value;
}
inline int segment_start(int lane, int width) { return lane & ~(width - 1); }
}  // namespace emu

template <class T>
inline T __shfl_sync(unsigned mask, T value, int source, int width = 32, EMU_SITE) {
  const int start = ::emu::segment_start(::emu::self->lane, width);
  return ::emu::shuffle_bits(mask, value, start | (source & (width - 1)), site);
}
template <class T>
inline T __shfl_xor_sync(unsigned mask, T value, int bits, int width = 32, EMU_SITE) {
  const int lane = ::emu::self->lane, source = lane ^ bits;
  const bool inside = source < ::emu::segment_start(lane, width) + width;
  return ::emu::shuffle_bits(mask, value, inside ? source : lane, site);
}
template <class T>
inline T __shfl_up_sync(unsigned mask, T value, unsigned delta, int width = 32, EMU_SITE) {
  const int lane = ::emu::self->lane, source = lane - static_cast<int>(delta);
  return ::emu::shuffle_bits(mask, value, source >= ::emu::segment_start(lane, width) ? source : lane, site);
}
template <class T>
inline T __shfl_down_sync(unsigned mask, T value, unsigned delta, int width = 32, EMU_SITE) {
  const int lane = ::emu::self->lane, source = lane + static_cast<int>(delta);
  const bool inside = source < ::emu::segment_start(lane, width) + width;
  return ::emu::shuffle_bits(mask, value, inside ? source : lane, site);
}

// ---- votes and reductions
inline unsigned __ballot_sync(unsigned mask, int predicate, EMU_SITE) {
  return ::emu::warp_reduce(mask, predicate != 0, ::emu::Reduce::kBallot, site);
}
inline int __any_sync(unsigned mask, int predicate, EMU_SITE) {
  return ::emu::warp_reduce(mask, predicate != 0, ::emu::Reduce::kBallot, site) != 0;
}
inline int __all_sync(unsigned mask, int predicate, EMU_SITE) {
  return ::emu::warp_reduce(mask, predicate == 0, ::emu::Reduce::kBallot, site) == 0;
}
inline unsigned __match_any_sync(unsigned mask, unsigned value, EMU_SITE) {
  return ::emu::warp_reduce(mask, value, ::emu::Reduce::kMatch, site);
}
inline unsigned __reduce_add_sync(unsigned mask, unsigned value, EMU_SITE) {
  return ::emu::warp_reduce(mask, value, ::emu::Reduce::kAdd, site);
}
inline int __reduce_add_sync(unsigned mask, int value, EMU_SITE) {
  return static_cast<int>(::emu::warp_reduce(mask, static_cast<unsigned>(value), ::emu::Reduce::kAdd, site));
}
inline unsigned __reduce_min_sync(unsigned mask, unsigned value, EMU_SITE) {
  return ::emu::warp_reduce(mask, value, ::emu::Reduce::kMin, site);
}
inline unsigned __reduce_max_sync(unsigned mask, unsigned value, EMU_SITE) {
  return ::emu::warp_reduce(mask, value, ::emu::Reduce::kMax, site);
}
// Signed order = unsigned order with the sign bit flipped.
inline int __reduce_min_sync(unsigned mask, int value, EMU_SITE) {
  return static_cast<int>(
      ::emu::warp_reduce(mask, static_cast<unsigned>(value) ^ 0x80000000u, ::emu::Reduce::kMin, site) ^ 0x80000000u);
}
inline int __reduce_max_sync(unsigned mask, int value, EMU_SITE) {
  return static_cast<int>(
      ::emu::warp_reduce(mask, static_cast<unsigned>(value) ^ 0x80000000u, ::emu::Reduce::kMax, site) ^ 0x80000000u);
}
inline unsigned __reduce_and_sync(unsigned mask, unsigned value, EMU_SITE) {
  return ::emu::warp_reduce(mask, value, ::emu::Reduce::kAnd, site);
}
inline unsigned __reduce_or_sync(unsigned mask, unsigned value, EMU_SITE) {
  return ::emu::warp_reduce(mask, value, ::emu::Reduce::kOr, site);
}
inline unsigned __reduce_xor_sync(unsigned mask, unsigned value, EMU_SITE) {
  return ::emu::warp_reduce(mask, value, ::emu::Reduce::kXor, site);
}
inline unsigned __activemask(EMU_SITE) { ::emu::trap("__activemask() depends on scheduling: do not use it", site); }
#undef EMU_SITE

// ---- atomics (atomics.cpp)
#define EMU_ATOMICS(T)                  \
  EMU_API T atomicAdd(T* p, T value);   \
  EMU_API T atomicExch(T* p, T value);  \
  EMU_API T atomicMax(T* p, T value);   \
  EMU_API T atomicMin(T* p, T value);   \
  EMU_API T atomicCAS(T* p, T expected, T desired)
EMU_ATOMICS(int);
EMU_ATOMICS(unsigned);
EMU_ATOMICS(unsigned long long);
#undef EMU_ATOMICS
EMU_API float atomicAdd(float* p, float value);
EMU_API float atomicExch(float* p, float value);
EMU_API unsigned atomicOr(unsigned* p, unsigned value);
EMU_API unsigned atomicAnd(unsigned* p, unsigned value);
EMU_API unsigned atomicInc(unsigned* p, unsigned limit);

// ---- loads and stores with cache hints; macros, so that a report names the kernel's own line
#define __ldg(p) (*(p))
#define __ldcs(p) (*(p))
#define __ldcg(p) (*(p))
#define __stcs(p, v) ((void)(*(p) = (v)))
#define __stcg(p, v) ((void)(*(p) = (v)))

// ---- bits
namespace emu {
template <class To, class From>
inline To bit_cast(From from) {
  static_assert(sizeof(To) == sizeof(From));
  To to;
  std::memcpy(&to, &from, sizeof to);
  return to;
}
}  // namespace emu
inline unsigned __float_as_uint(float x) { return ::emu::bit_cast<unsigned>(x); }
inline int __float_as_int(float x) { return ::emu::bit_cast<int>(x); }
inline float __uint_as_float(unsigned x) { return ::emu::bit_cast<float>(x); }
inline float __int_as_float(int x) { return ::emu::bit_cast<float>(x); }
inline long long __double_as_longlong(double x) { return ::emu::bit_cast<long long>(x); }
inline double __longlong_as_double(long long x) { return ::emu::bit_cast<double>(x); }
inline int __popc(unsigned x) { return __builtin_popcount(x); }
inline int __popcll(unsigned long long x) { return __builtin_popcountll(x); }
inline int __ffs(int x) { return __builtin_ffs(x); }
inline int __ffsll(long long x) { return __builtin_ffsll(x); }
inline int __clz(int x) { return x ? __builtin_clz(static_cast<unsigned>(x)) : 32; }
inline int __clzll(long long x) { return x ? __builtin_clzll(static_cast<unsigned long long>(x)) : 64; }
inline unsigned __brev(unsigned x) {
  unsigned r = 0;
  for (int i = 0; i < 32; i++) r |= (x >> i & 1u) << (31 - i);
  return r;
}
inline unsigned __byte_perm(unsigned a, unsigned b, unsigned selector) {
  const uint64_t both = a | static_cast<uint64_t>(b) << 32;
  unsigned r = 0;
  for (int i = 0; i < 4; i++) {
    const unsigned nibble = selector >> (4 * i) & 15u;
    unsigned byte = static_cast<unsigned>(both >> (8 * (nibble & 7u))) & 255u;
    if (nibble & 8u) byte = byte & 128u ? 255u : 0u;  // replicate the sign
    r |= byte << (8 * i);
  }
  return r;
}
inline unsigned __funnelshift_r(unsigned low, unsigned high, unsigned shift) {
  return static_cast<unsigned>((low | static_cast<uint64_t>(high) << 32) >> (shift & 31u));
}
inline unsigned __umulhi(unsigned a, unsigned b) {
  return static_cast<unsigned>(static_cast<uint64_t>(a) * b >> 32);
}
inline unsigned long long __umul64hi(unsigned long long a, unsigned long long b) {
  return static_cast<unsigned long long>(static_cast<unsigned __int128>(a) * b >> 64);
}

// ---- arithmetic: the exactly rounded ones are exact here, the approximate ones are as good as libm
inline float __expf(float x) { return expf(x); }
inline float __logf(float x) { return logf(x); }
inline float __log2f(float x) { return log2f(x); }
inline float __sinf(float x) { return sinf(x); }
inline float __cosf(float x) { return cosf(x); }
inline float __fdividef(float a, float b) { return a / b; }
inline float __frcp_rn(float x) { return 1.f / x; }
inline float __fsqrt_rn(float x) { return sqrtf(x); }
inline float __fdiv_rn(float a, float b) { return a / b; }
inline float __fmaf_rn(float a, float b, float c) { return fmaf(a, b, c); }
inline float rsqrtf(float x) { return 1.f / sqrtf(x); }
inline float __frsqrt_rn(float x) { return 1.f / sqrtf(x); }
inline float __saturatef(float x) { return x > 0.f ? (x < 1.f ? x : 1.f) : 0.f; }
inline int __float2int_rn(float x) { return static_cast<int>(nearbyintf(x)); }
inline int __float2int_rd(float x) { return static_cast<int>(floorf(x)); }
inline int __float2int_rz(float x) { return static_cast<int>(x); }
inline float __int2float_rn(int x) { return static_cast<float>(x); }
// "rn" also means "never contracted into an fma": the barrier hides the value from -ffp-contract.
namespace emu {
template <class T>
inline T uncontracted(T x) {
  asm("" : "+x"(x));
  return x;
}
}  // namespace emu
// Eight fused multiply-adds; by hand, because the compiler does not make vector code of modules that trap undefined behaviour.
namespace emu {
inline void add_scaled(float (&sum)[8], const float* p, float factor) {
#ifdef EMU_CHECK
  for (int i = 0; i < 8; i++) sum[i] = fmaf(p[i], factor, sum[i]);
#else
  _mm256_storeu_ps(sum, _mm256_fmadd_ps(_mm256_loadu_ps(p), _mm256_set1_ps(factor), _mm256_loadu_ps(sum)));
#endif
}
}  // namespace emu
inline float __fmul_rn(float a, float b) { return ::emu::uncontracted(a * b); }
inline float __fadd_rn(float a, float b) { return ::emu::uncontracted(a) + ::emu::uncontracted(b); }
inline float __fsub_rn(float a, float b) { return ::emu::uncontracted(a) - ::emu::uncontracted(b); }
inline double __dmul_rn(double a, double b) { return ::emu::uncontracted(a * b); }
inline double __dadd_rn(double a, double b) { return ::emu::uncontracted(a) + ::emu::uncontracted(b); }

// CUDA's max and min: of a NaN and a number, the number.
inline int max(int a, int b) { return a > b ? a : b; }
inline int min(int a, int b) { return a < b ? a : b; }
inline unsigned max(unsigned a, unsigned b) { return a > b ? a : b; }
inline unsigned min(unsigned a, unsigned b) { return a < b ? a : b; }
inline long long max(long long a, long long b) { return a > b ? a : b; }
inline long long min(long long a, long long b) { return a < b ? a : b; }
inline unsigned long long max(unsigned long long a, unsigned long long b) { return a > b ? a : b; }
inline unsigned long long min(unsigned long long a, unsigned long long b) { return a < b ? a : b; }
// A NaN gives way to a number, and -0 is less than +0: max.f32 says so; the C library keeps a signalling NaN
// and leaves the zeros open.
inline float max(float a, float b) {
  return a == b ? __uint_as_float(__float_as_uint(a) & __float_as_uint(b)) : a > b || b != b ? a : b;
}
inline float min(float a, float b) {
  return a == b ? __uint_as_float(__float_as_uint(a) | __float_as_uint(b)) : a < b || b != b ? a : b;
}
inline double max(double a, double b) { return fmax(a, b); }
inline double min(double a, double b) { return fmin(a, b); }
