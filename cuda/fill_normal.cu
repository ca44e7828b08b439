// SPDX-License-Identifier: Apache-2.0
// out[i] = T(mean + scale * z_i), z_i the i-th number of a seeded standard normal stream: weights of real size without a checkpoint.
//
// Shape   out [n].
// Floor   out written once.
// Idea    8 elements per thread. Elements 2c and 2c + 1 come from counter c: its high and low half are two uniforms of 24 bits, and
//         Box-Muller makes them two normals. |z| < 5.8.
// Rounds  once.
#include "counter.cuh"
#include "dvl.cuh"
#include "rows.cuh"

namespace {

constexpr int kThreads = 256;
constexpr int kEach = 8;

template <class T>
__device__ __forceinline__ void fill_normal(T* out, long long n, float mean, float scale, unsigned long long seed) {
  const int64_t at = (int64_t(blockIdx.x) * kThreads + threadIdx.x) * kEach;
  if (at >= n) return;
  float value[kEach];
#pragma unroll
  for (int i = 0; i < kEach; i += 2) {
    const unsigned long long bits = dvl::counter_bits(seed, static_cast<unsigned long long>(at + i) / 2);
    const float u = float(static_cast<unsigned>(bits >> 40) + 1u) * 5.9604644775390625e-8f;           // (0, 1]
    const float turns = float(static_cast<unsigned>(bits & 0xffffffffull) >> 8) * 5.9604644775390625e-8f;  // [0, 1)
    const float radius = sqrtf(-2.f * logf(u));
    float sine, cosine;
    dvl::sincos_pi(2.f * turns, sine, cosine);
    value[i] = mean + scale * (radius * cosine);
    value[i + 1] = mean + scale * (radius * sine);
  }
  dvl::store_piece(out + at, n - at < kEach ? int(n - at) : kEach, dvl::aligned16(out), value);
}

}  // namespace

#define FILL_NORMAL(T, suffix)                                                                      \
  extern "C" __global__ void __launch_bounds__(kThreads)                                            \
      fill_normal_##suffix(T* out, long long n, float mean, float scale, unsigned long long seed) { \
    fill_normal(out, n, mean, scale, seed);                                                         \
  }                                                                                                 \
  DVL_EXPORT(fill_normal_##suffix)

FILL_NORMAL(bf16, bf16);
FILL_NORMAL(f16, f16);
FILL_NORMAL(float, f32);
