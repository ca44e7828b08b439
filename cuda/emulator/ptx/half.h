// SPDX-License-Identifier: Apache-2.0
// f16 and bf16 values with one correct rounding.
#pragma once
#include <immintrin.h>

#include <cmath>
#include <cstdint>
#include <cstring>

#include "bfloat16.h"

namespace emu::ptx {

// To odd: a value that lies between two f32 becomes the one with the odd last bit, so that rounding it again to fewer bits gives what one
// rounding would give.
inline float to_odd(double x) {
  auto f = static_cast<float>(x);
  if (std::isnan(x) || std::isinf(x) || static_cast<double>(f) == x) return f;
  uint32_t bits;
  if (std::isinf(f)) f = std::copysign(3.4028234663852886e38f, f);
  else if ((static_cast<double>(f) > x) == (x > 0)) {  // away from zero: back to the neighbour that is nearer to zero
    std::memcpy(&bits, &f, 4);
    bits--;
    std::memcpy(&f, &bits, 4);
  }
  std::memcpy(&bits, &f, 4);
  bits |= 1;
  std::memcpy(&f, &bits, 4);
  return f;
}

struct Half {
  uint16_t bits;
  static float widen(Half h) { return _cvtsh_ss(h.bits); }
  static Half narrow(double x, int rounding = _MM_FROUND_TO_NEAREST_INT) {
    const float f = to_odd(x);
    if (f != f) return {0x7fff};
    switch (rounding) {  // the instruction wants a constant
      case _MM_FROUND_TO_ZERO: return {static_cast<uint16_t>(_cvtss_sh(f, _MM_FROUND_TO_ZERO))};
      case _MM_FROUND_TO_NEG_INF: return {static_cast<uint16_t>(_cvtss_sh(f, _MM_FROUND_TO_NEG_INF))};
      case _MM_FROUND_TO_POS_INF: return {static_cast<uint16_t>(_cvtss_sh(f, _MM_FROUND_TO_POS_INF))};
      default: return {static_cast<uint16_t>(_cvtss_sh(f, _MM_FROUND_TO_NEAREST_INT))};
    }
  }
};

struct Brain {
  uint16_t bits;
  static float widen(Brain b) { return bf16_to_float({b.bits}); }
  static Brain narrow(double x, int rounding = _MM_FROUND_TO_NEAREST_INT) {
    const float f = to_odd(x);
    if (rounding == _MM_FROUND_TO_NEAREST_INT || f != f) return {bf16_from_float(f).bits};
    uint32_t bits;
    std::memcpy(&bits, &f, 4);
    const bool up = (rounding == _MM_FROUND_TO_POS_INF && f > 0) || (rounding == _MM_FROUND_TO_NEG_INF && f < 0);
    if (up && (bits & 0xffff)) bits += 0x10000;
    return {static_cast<uint16_t>(bits >> 16)};
  }
};

}  // namespace emu::ptx
