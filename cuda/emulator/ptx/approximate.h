// SPDX-License-Identifier: Apache-2.0
// The approximate operations of f32. Hardware is off by up to a documented error; this device gives the nearest value, or with the option
// approx=N one that is off by up to that error: a fixed function of the operation and its operands, as hardware is deterministic.
#pragma once
#include "decoder.h"

namespace emu::ptx {

enum class Approximation : uint8_t { kDivide, kReciprocal, kSquareRoot, kReciprocalRoot, kSine, kCosine, kLogarithm, kPower, kTangent };

// The type is still among the modifiers, .approx is not.
void make_approximate(Decoder& d, Approximation a);

// The same in single values, for half precision.
float approximate(Approximation a, float x, float y);

}  // namespace emu::ptx
