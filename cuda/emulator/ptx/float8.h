// SPDX-License-Identifier: Apache-2.0
// The 8-bit floats: e4m3 has no infinities and one NaN, e5m2 is the upper half of an f16.
#pragma once
#include <cmath>
#include <cstdint>

namespace emu::ptx {

struct Float8 {
  int fraction;   // bits
  int bias;
  double most;    // the largest number
  uint8_t nan;

  static constexpr Float8 e4m3() { return {3, 7, 448, 0x7f}; }
  static constexpr Float8 e5m2() { return {2, 15, 57344, 0x7f}; }

  float widen(uint8_t bits) const {
    const int exponent = (bits & 0x7f) >> fraction, rest = bits & ((1 << fraction) - 1);
    const float sign = bits & 0x80 ? -1.f : 1.f;
    if (fraction == 3 && (bits & 0x7f) == 0x7f) return NAN;
    if (fraction == 2 && exponent == 31) return rest ? NAN : sign * INFINITY;
    if (exponent == 0) return sign * std::ldexp(static_cast<float>(rest), 1 - bias - fraction);
    return sign * std::ldexp(static_cast<float>(rest + (1 << fraction)), exponent - bias - fraction);
  }

  // To nearest even; what is too large becomes the largest number (.satfinite).
  uint8_t narrow(double x) const {
    if (x != x) return nan;
    const auto sign = static_cast<uint8_t>(std::signbit(x) ? 0x80 : 0);
    const double a = std::fabs(x);
    if (a >= most) return static_cast<uint8_t>(sign | (nan - (fraction == 3 ? 1 : 4)));
    const int exponent = std::max(a == 0 ? 1 - bias : std::ilogb(a), 1 - bias);
    const auto units = static_cast<int>(std::nearbyint(std::ldexp(a, fraction - exponent)));  // from 1 << fraction on: normal
    return static_cast<uint8_t>(sign | (units + ((exponent + bias - 1) << fraction)));
  }
};

}  // namespace emu::ptx
