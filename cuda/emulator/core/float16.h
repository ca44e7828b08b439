// SPDX-License-Identifier: Apache-2.0
// f16 with exactly the conversions the hardware has. No arithmetic on purpose: kernels compute in f32.
#pragma once
#include <immintrin.h>

#include <cstdint>

namespace emu {

struct f16 {
  uint16_t bits;
};

inline float f16_to_float(f16 v) { return _cvtsh_ss(v.bits); }

// To nearest, ties to even; overflow to infinity; every NaN becomes 0x7fff, as cvt.rn.f16.f32 does.
inline f16 f16_from_float(float f) {
  if (f != f) return {0x7fff};
  return {static_cast<uint16_t>(_cvtss_sh(f, _MM_FROUND_TO_NEAREST_INT))};
}

}  // namespace emu
