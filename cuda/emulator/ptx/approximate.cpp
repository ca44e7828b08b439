// SPDX-License-Identifier: Apache-2.0
#include "approximate.h"

#include <cmath>

#include "operations.h"

namespace emu::ptx {
namespace {

double exact(Approximation a, double x, double y) {
  switch (a) {
    case Approximation::kDivide: return x / y;
    case Approximation::kReciprocal: return 1 / x;
    case Approximation::kSquareRoot: return std::sqrt(x);
    case Approximation::kReciprocalRoot: return x == 0 ? std::copysign(INFINITY, x) : 1 / std::sqrt(x);
    case Approximation::kSine: return std::sin(x);
    case Approximation::kCosine: return std::cos(x);
    case Approximation::kLogarithm: return std::log2(x);
    case Approximation::kPower: return std::exp2(x);
    default: return std::tanh(x);
  }
}

// The largest error that PTX ISA documents, around the exact value y.
double largest_error(Approximation a, double y) {
  const double unit = std::ldexp(1, std::max(std::ilogb(y), -126) - 23);  // one unit in the last place of f32
  switch (a) {
    case Approximation::kDivide:
    case Approximation::kPower: return 2 * unit;
    case Approximation::kReciprocal: return unit;
    case Approximation::kSquareRoot: return std::ldexp(std::fabs(y), -23);
    case Approximation::kReciprocalRoot: return std::pow(2, -22.9) * std::fabs(y);
    case Approximation::kSine:
    case Approximation::kCosine: return std::pow(2, -20.5);
    case Approximation::kLogarithm: return std::max(std::ldexp(1, -22), unit);
    default: return std::ldexp(std::fabs(y), -11);
  }
}

float flush(float x) { return std::fpclassify(x) == FP_SUBNORMAL ? std::copysign(0.f, x) : x; }

// From -1 to 1, always the same for the same operands
double deviation(Approximation a, float x, float y) {
  uint32_t bits[2];
  std::memcpy(&bits[0], &x, 4);
  std::memcpy(&bits[1], &y, 4);
  uint64_t h = (static_cast<uint64_t>(bits[0]) << 32 | bits[1]) ^
               options().approximate * 0x9e3779b97f4a7c15ull ^ static_cast<uint64_t>(a) << 17;
  h = (h ^ h >> 30) * 0xbf58476d1ce4e5b9ull;
  h = (h ^ h >> 27) * 0x94d049bb133111ebull;
  h ^= h >> 31;
  return static_cast<double>(static_cast<int64_t>(h >> 11)) / static_cast<double>(int64_t{1} << 52) - 1;
}

template <Approximation kA>
void run(Context& c, const Ins& i, uint32_t lanes) {
  float* d = values<float>(c, i.o[0]);
  const float* x = values<float>(c, i.o[1]);
  const float* y = kA == Approximation::kDivide ? values<float>(c, i.o[2]) : x;
  const bool ftz = i.detail[1];
  each_lane(lanes, [&](unsigned l) {
    const float r = ftz ? flush(approximate(kA, flush(x[l]), flush(y[l]))) : approximate(kA, x[l], y[l]);
    d[l] = r;
  });
}

}  // namespace

float approximate(Approximation a, float x, float y) {
  const double value = exact(a, x, y);
  auto nearest = static_cast<float>(value);
  if (!options().approximate || !std::isfinite(nearest) || value == 0) return nearest;
  // Results that are exact by a table or by a power of two are so on hardware as well.
  if (a == Approximation::kPower && x == std::rint(x)) return nearest;
  const double error = largest_error(a, value);
  auto off = static_cast<float>(value + deviation(a, x, y) * error);
  if (std::fabs(off - value) > error) off = std::nextafter(off, nearest);  // rounding has carried it too far
  return std::isfinite(off) ? off : nearest;
}

void make_approximate(Decoder& d, Approximation a) {
  static constexpr Run runs[] = {&run<Approximation::kDivide>,     &run<Approximation::kReciprocal>, &run<Approximation::kSquareRoot>,
                                 &run<Approximation::kReciprocalRoot>, &run<Approximation::kSine>,   &run<Approximation::kCosine>,
                                 &run<Approximation::kLogarithm>,  &run<Approximation::kPower>,      &run<Approximation::kTangent>};
  const Type t = d.type();
  if (!t.is(Kind::kFloat, 32)) d.unknown();
  d.out.detail[1] = d.take("ftz");
  d.out.run = runs[static_cast<size_t>(a)];
  same_type(d, t, a == Approximation::kDivide ? 2 : 1);
}

}  // namespace emu::ptx
