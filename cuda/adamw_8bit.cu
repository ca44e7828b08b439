// SPDX-License-Identifier: Apache-2.0
// AdamW with moments of 8 bits (after Dettmers et al., 2022: codes per block of 256 elements, scaled by the block's largest magnitude).
//
// Shape   master, grad f32 [n]; weight [n], the rounded copy that the model computes with (f32: master itself may be given); m, v codes
//         u8 [n]; m_scale, v_scale f32 [ceil(n / 256)]; clip f32 [1], a factor of all gradients of the step.
// Floor   grad, codes, scales, master read once, codes, scales, master, weight written once: 18 bytes per bf16 weight (adamw: 30).
// Idea    a warp has a block of 256 elements, a thread eight of them. Codes are logarithmic: level 0 is 0, level l of L stands for the part
//         2^(octaves (l - L) / (L - 1)) of the block's largest magnitude. m: L = 127 over 16 octaves, and a sign. v: L = 255 over 24
//         octaves; what is below counts as level 1, never as 0, so that no step is divided by next to nothing.
// Rounds  the weight to nearest. A moment to one of the two levels around it by chance, so that its mean is the moment itself: v moves by
//         a thousandth per step, levels are 7 % apart, and rounding to the nearest would hold it in place. Chances come from
//         (seed, step t, element). The step itself uses the moments before they are rounded.
#include "adamw.cuh"
#include "counter.cuh"
#include "rows.cuh"

namespace {

constexpr int kThreads = 256;
constexpr int kEach = 8;
constexpr int kBlock = 32 * kEach;  // elements with one scale

template <int kLevels, int kOctaves>
struct LogCode {
  static constexpr float kPerOctave = float(kLevels - 1) / kOctaves;

  static __device__ __forceinline__ float value(int level) {
    return level == 0 ? 0.f : dvl::exp2_fast(float(level - kLevels) / kPerOctave);
  }
  // of x, 0 <= x <= 1; chance is uniform in [0, 1)
  static __device__ __forceinline__ int level(float x, float chance) {
    const int below = x > 0.f ? min(max(int(floorf(log2f(x) * kPerOctave)) + kLevels, 0), kLevels - 1) : 0;
    const float low = value(below), high = value(below + 1);
    return below + (chance * (high - low) < x - low ? 1 : 0);
  }
};
using First = LogCode<127, 16>;
using Second = LogCode<255, 24>;
constexpr unsigned kSign = 128;

struct State {
  unsigned char* m;
  float* m_scale;
  unsigned char* v;
  float* v_scale;
};

__device__ __forceinline__ void load_codes(const unsigned char* p, int count, unsigned (&code)[kEach]) {
  uint2 word = make_uint2(0, 0);
  if (count == kEach) word = *reinterpret_cast<const uint2*>(p);
#pragma unroll
  for (int i = 0; i < kEach; i++) {
    code[i] = (i < 4 ? word.x : word.y) >> 8 * (i % 4) & 255;
    if (count < kEach && i < count) code[i] = p[i];
  }
}

__device__ __forceinline__ void store_codes(unsigned char* p, int count, const unsigned (&code)[kEach]) {
  if (count == kEach) {
    *reinterpret_cast<uint2*>(p) = make_uint2(code[0] | code[1] << 8 | code[2] << 16 | code[3] << 24,
                                              code[4] | code[5] << 8 | code[6] << 16 | code[7] << 24);
  } else {
#pragma unroll
    for (int i = 0; i < kEach; i++)
      if (i < count) p[i] = static_cast<unsigned char>(code[i]);
  }
}

template <class T>
__device__ __forceinline__ void adamw(float* master, T* weight, const State& state, const float* grad, const float* clip, int64_t n,
                                      const dvl::AdamwStep& step, unsigned long long key) {
  const int64_t block = int64_t(blockIdx.x) * (kThreads / 32) + (threadIdx.x >> 5), at = block * kBlock + (threadIdx.x & 31) * kEach;
  if (block * kBlock >= n) return;
  const int count = n - at >= kEach ? kEach : max(int(n - at), 0);
  const bool wide = dvl::aligned16(master) && dvl::aligned16(weight) && dvl::aligned16(grad);
  const int lane = threadIdx.x & 31;  // lane 0 alone reads and writes the scales
  const float factor = *clip, old_m = dvl::shuffle(lane == 0 ? state.m_scale[block] : 0.f, 0);
  const float old_v = dvl::shuffle(lane == 0 ? state.v_scale[block] : 0.f, 0);
  float w[kEach], g[kEach], first[kEach], second[kEach];
  unsigned m[kEach], v[kEach];
  dvl::load_piece(master + at, count, wide, w);
  dvl::load_piece(grad + at, count, wide, g);
  load_codes(state.m + at, count, m);
  load_codes(state.v + at, count, v);
  float most_m = 0.f, most_v = 0.f;
#pragma unroll
  for (int i = 0; i < kEach; i++) {
    const float magnitude = First::value(int(m[i] % kSign)) * old_m;
    first[i] = m[i] < kSign ? magnitude : -magnitude;
    second[i] = Second::value(int(v[i])) * old_v;
    step.update(g[i] * factor, w[i], first[i], second[i]);
    if (i >= count) first[i] = second[i] = 0.f;
    most_m = max(most_m, fabsf(first[i]));
    most_v = max(most_v, second[i]);
  }
  most_m = dvl::warp_max(most_m);
  most_v = dvl::warp_max(most_v);
#pragma unroll
  for (int i = 0; i < kEach; i++) {
    const unsigned long long bits = dvl::counter_bits(key, at + i);
    const float chance_m = float(unsigned(bits >> 40)) * 0x1p-24f, chance_v = float(unsigned(bits) >> 8) * 0x1p-24f;
    m[i] = most_m == 0.f ? 0 : First::level(fabsf(first[i]) / most_m, chance_m) | (first[i] < 0.f ? kSign : 0);
    v[i] = most_v == 0.f ? 0 : max(Second::level(second[i] / most_v, chance_v), 1);
  }
  store_codes(state.m + at, count, m);
  store_codes(state.v + at, count, v);
  if (lane == 0) {
    state.m_scale[block] = most_m;
    state.v_scale[block] = most_v;
  }
  dvl::store_piece(master + at, count, wide, w);
  dvl::store_piece(weight + at, count, wide, w);
}

}  // namespace

#define ADAMW_8BIT(T, suffix)                                                                                                       \
  extern "C" __global__ void __launch_bounds__(kThreads)                                                                            \
      adamw_8bit_##suffix(float* master, T* weight, unsigned char* m, float* m_scale, unsigned char* v, float* v_scale,             \
                          const float* grad, const float* clip, int64_t n, float rate, float b1, float b2, float eps, float decay,  \
                          float c1, float c2, unsigned long long seed, int t) {                                                     \
    adamw(master, weight, {m, m_scale, v, v_scale}, grad, clip, n, {rate, b1, b2, eps, decay, c1, c2}, dvl::counter_bits(seed, t)); \
  }                                                                                                                                 \
  DVL_EXPORT(adamw_8bit_##suffix)

ADAMW_8BIT(bf16, bf16);
ADAMW_8BIT(float, f32);
