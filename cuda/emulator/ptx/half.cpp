// SPDX-License-Identifier: Apache-2.0
// Arithmetic in f16 and bf16, single and in pairs: PTX ISA, "Half Precision Floating-Point Instructions".
#include "half.h"

#include "approximate.h"
#include "operations.h"

namespace emu::ptx {
namespace {

// The sum with its rounding error folded into the last bit (to odd), for the fused operation: the product is exact in f64.
double sum_to_odd(double a, double b) {
  const double s = a + b;
  if (!std::isfinite(s)) return s;
  const double part = s - a, error = (a - (s - part)) + (b - part);
  uint64_t bits;
  std::memcpy(&bits, &s, 8);
  if (error == 0 || (bits & 1)) return s;
  bits += (error > 0) == (s > 0) ? 1 : -1;
  double odd;
  std::memcpy(&odd, &bits, 8);
  return odd;
}

enum class HalfOp : uint8_t { kAdd, kSubtract, kMultiply, kFma, kNegate, kAbsolute, kMin, kMax, kTangent, kPower };
struct Name {
  std::string_view name;
  HalfOp op;
  size_t sources;
};
constexpr Name kNames[] = {{"add", HalfOp::kAdd, 2},      {"sub", HalfOp::kSubtract, 2}, {"mul", HalfOp::kMultiply, 2},
                           {"fma", HalfOp::kFma, 3},      {"neg", HalfOp::kNegate, 1},   {"abs", HalfOp::kAbsolute, 1},
                           {"min", HalfOp::kMin, 2},      {"max", HalfOp::kMax, 2},      {"tanh", HalfOp::kTangent, 1},
                           {"ex2", HalfOp::kPower, 1}};

template <class H>
H extreme(H a, H b, bool max, bool nan) {
  const float x = H::widen(a), y = H::widen(b);
  if (x != x || y != y) return nan || (x != x && y != y) ? H{0x7fff} : x != x ? b : a;
  if (x == y) return std::signbit(x) == max ? b : a;
  return (x > y) == max ? a : b;
}

// detail: [0] the operation, [1] .sat, [2] .relu, [3] .NaN, [4] .ftz
template <class H>
H one(const Ins& i, H a, H b, H c) {
  const auto op = static_cast<HalfOp>(i.detail[0]);
  const double x = H::widen(a), y = H::widen(b);
  double r;
  switch (op) {
    case HalfOp::kNegate: return {static_cast<uint16_t>(a.bits ^ 0x8000)};
    case HalfOp::kAbsolute: return {static_cast<uint16_t>(a.bits & 0x7fff)};
    case HalfOp::kMin:
    case HalfOp::kMax: return extreme(a, b, op == HalfOp::kMax, i.detail[3]);
    case HalfOp::kAdd: r = x + y; break;
    case HalfOp::kSubtract: r = x - y; break;
    case HalfOp::kMultiply: r = x * y; break;
    case HalfOp::kFma: r = sum_to_odd(x * y, H::widen(c)); break;
    case HalfOp::kTangent: r = approximate(Approximation::kTangent, H::widen(a), 0); break;
    default: r = approximate(Approximation::kPower, H::widen(a), 0); break;
  }
  if (i.detail[1]) r = r > 0 ? std::min(r, 1.0) : 0;
  if (i.detail[2]) r = r > 0 || r != r ? r : 0;
  H h = H::narrow(r);
  if (i.detail[4] && (h.bits & 0x7c00) == 0) h.bits &= 0x8000;
  return h;
}

template <class H, int kPacked>
void half(Context& c, const Ins& i, uint32_t lanes) {
  using T = std::conditional_t<kPacked == 2, uint32_t, uint16_t>;
  T* d = values<T>(c, i.o[0]);
  const T* s[3];
  for (int k = 0; k < 3; k++) s[k] = values<T>(c, i.o[std::min(k + 1, i.operands - 1)]);
  each_lane(lanes, [&](unsigned l) {
    T r = 0;
    for (int p = 0; p < 16 * kPacked; p += 16) {
      const auto part = [&](int k) { return H{static_cast<uint16_t>(s[k][l] >> p)}; };
      r = static_cast<T>(r | static_cast<T>(one<H>(i, part(0), part(1), part(2)).bits) << p);
    }
    d[l] = r;
  });
}

}  // namespace

void make_half(Decoder& d, std::string_view base, Type t) {
  if (t.kind != Kind::kFloat && t.kind != Kind::kBfloat) d.unknown();
  for (const Name& n : kNames) {
    if (n.name != base) continue;
    d.take("rn");
    d.take("approx");
    d.out.detail[0] = static_cast<uint8_t>(n.op);
    d.out.detail[1] = d.take("sat");
    d.out.detail[2] = d.take("relu");
    d.out.detail[3] = d.take("NaN");
    d.out.detail[4] = d.take("ftz");
    if (t.kind == Kind::kFloat) d.out.run = t.packed == 2 ? &half<Half, 2> : &half<Half, 1>;
    else d.out.run = t.packed == 2 ? &half<Brain, 2> : &half<Brain, 1>;
    return same_type(d, t, n.sources);
  }
  d.unknown();
}

}  // namespace emu::ptx
