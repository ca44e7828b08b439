// SPDX-License-Identifier: Apache-2.0
// bf16 with exactly the conversions the hardware has. No arithmetic on purpose: kernels compute in f32.
#pragma once
#include <cstdint>
#include <cstring>

namespace emu {

struct bf16 {
  uint16_t bits;
};

inline float bf16_to_float(bf16 v) {
  const uint32_t bits = static_cast<uint32_t>(v.bits) << 16;
  float f;
  std::memcpy(&f, &bits, 4);
  return f;
}

// To nearest, ties to even; overflow to infinity; every NaN becomes 0x7fff, as cvt.rn.bf16.f32 does.
inline bf16 bf16_from_float(float f) {
  uint32_t bits;
  std::memcpy(&bits, &f, 4);
  if ((bits & 0x7fffffffu) > 0x7f800000u) return {0x7fff};
  return {static_cast<uint16_t>((bits + 0x7fffu + (bits >> 16 & 1)) >> 16)};
}

}  // namespace emu
