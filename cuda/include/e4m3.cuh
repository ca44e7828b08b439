// SPDX-License-Identifier: Apache-2.0
// E4M3, numbers of 8 bits: a sign, 4 bits of exponent (from 7), 3 of mantissa. No infinity; 448 is the largest. On the way in: a cache of
// keys and values. On the way out: that, and weights (skinny_weights.cuh).
#pragma once
#include "dvl.cuh"

namespace dvl {

// Codes in the bytes 1 and 3 as a pair of T, divided by 2^120 (f16: 2^8): sign, exponent and mantissa at T's places, whose exponent counts
// from 127 (f16: 15). That is exact for subnormal codes too.
template <class T>
__device__ __forceinline__ uint32_t moved_codes(uint32_t codes) {
  return (codes & 0x80008000u) | (kIsF16<T> ? codes >> 1 & 0x3f803f80u : codes >> 4 & 0x07f007f0u);
}

// The same as they are. Instructions that convert E4M3 give f16, and bf16 would be two more steps from there.
template <class T>
__device__ __forceinline__ uint32_t widened_codes(uint32_t codes) {
  return fma_pair<T>(moved_codes<T>(codes), kIsF16<T> ? 0x5c005c00u : 0x7b807b80u, 0x80008000u);
}

// The code of the nearest number, of two equally near ones the even. |value| <= 448; beyond, any code.
__device__ __forceinline__ uint32_t e4m3_of(float value) {
  constexpr uint32_t kLeastNormal = 0x3c800000u;  // 2^-6
  constexpr float kSubnormalPlaces = 16384.f;     // its last place is that of the subnormal numbers, 2^-9
  const uint32_t bits = __float_as_uint(value), magnitude = bits & 0x7fffffffu;
  const uint32_t code = magnitude < kLeastNormal
                            ? __float_as_uint(__fadd_rn(__uint_as_float(magnitude), kSubnormalPlaces)) - __float_as_uint(kSubnormalPlaces)
                            : ((magnitude + 0x7ffffu + (magnitude >> 20 & 1u)) >> 20) - (127u - 7u) * 8u;
  return (code & 0x7fu) | (bits >> 24 & 0x80u);
}

// ---- a cache of keys and values: a head's 128 numbers of a row as codes with one scale, number = code * scale
// Order   of each 16 codes: column i at the place 2 i, column 8 + i at 2 i + 1. So the tensor cores' operands come out of ldmatrix as they
//         are used, of keys and of values (attention_codes.cuh).
// Scale   the least power of two, from 2^-126 on, with which no number is beyond 448: nothing but the code is rounded. NaN where the row
//         has NaN or infinity, and all that see it become NaN.
constexpr int kCodedHead = 128;

// Writes a row. Lane l of the warp has its columns 2 l and 2 l + 1 in a, 64 + 2 l and 65 + 2 l in b; they are rounded to T first.
template <class T>
__device__ __forceinline__ void store_codes(unsigned char* row, float* scale, const float (&a)[2], const float (&b)[2]) {
  const float value[4] = {round_to<T>(a[0]), round_to<T>(a[1]), round_to<T>(b[0]), round_to<T>(b[1])};
  uint32_t most = 0;  // of magnitudes as bits, in whose order infinity and NaN are the highest
#pragma unroll
  for (int i = 0; i < 4; i++) most = max(most, __float_as_uint(value[i]) & 0x7fffffffu);
  most = warp_max(most);
  const bool finite = most < 0x7f800000u;
  const uint32_t exponent = max((most + 0x1fffffu) >> 23, 9u) - 8u;  // the scale's; above 1.75 of a power of two the next one's
  const float inverse = __uint_as_float((254u - exponent) << 23);
  uint32_t own = 0;
#pragma unroll
  for (int i = 0; i < 4; i++) own |= e4m3_of(value[i] * inverse) << 8 * i;
  // The columns that lie between a lane's are 8 from them, with the lane 4 from it: one of the two writes a, the other b.
  const int lane = int(threadIdx.x) % 32;
  const uint32_t other = shuffle_xor(own, 4);
  const bool second = lane & 4;
  const uint32_t even = second ? other >> 16 : own, odd = second ? own >> 16 : other;
  *reinterpret_cast<uint32_t*>(row + (second ? kCodedHead / 2 : 0) + lane / 8 * 16 + lane % 4 * 4) =
      (even & 0xffu) | (odd & 0xffu) << 8 | (even & 0xff00u) << 8 | (odd & 0xff00u) << 16;
  if (lane == 0) *scale = finite ? __uint_as_float(exponent << 23) : NAN;
}

}  // namespace dvl
