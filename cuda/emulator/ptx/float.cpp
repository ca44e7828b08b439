// SPDX-License-Identifier: Apache-2.0
// Floating point in f32 and f64: PTX ISA, "Floating-Point Instructions".
#include <cfenv>
#include <cmath>
#include <limits>

#include "approximate.h"
#include "operations.h"

namespace emu::ptx {

Rounding::Rounding(int mode) : before_(fegetround()) { fesetround(mode); }
Rounding::~Rounding() { fesetround(before_); }

int take_rounding(Decoder& d) {
  constexpr int modes[] = {FE_TONEAREST, FE_TOWARDZERO, FE_DOWNWARD, FE_UPWARD};
  const int n = d.take_one({"rn", "rz", "rm", "rp"});
  return n < 0 ? -1 : modes[n];
}

namespace {

struct Add {
  template <class T>
  static T apply(T a, T b) { return a + b; }
};
struct Subtract {
  template <class T>
  static T apply(T a, T b) { return a - b; }
};
struct Multiply {
  template <class T>
  static T apply(T a, T b) { return a * b; }
};
struct Divide {
  template <class T>
  static T apply(T a, T b) { return a / b; }
};
struct MultiplyAdd {
  static float apply(float a, float b, float c) { return __builtin_fmaf(a, b, c); }
  static double apply(double a, double b, double c) { return __builtin_fma(a, b, c); }
};
struct Reciprocal {
  template <class T>
  static T apply(T a) { return 1 / a; }
};
struct SquareRoot {
  static float apply(float a) { return __builtin_sqrtf(a); }
  static double apply(double a) { return __builtin_sqrt(a); }
};
struct Absolute {
  template <class T>
  static T apply(T a) { return std::fabs(a); }
};
struct Negate {
  template <class T>
  static T apply(T a) { return -a; }
};
// PTX: copysign d, a, b: the sign of a, the rest of b.
struct CopySign {
  template <class T>
  static T apply(T a, T b) { return std::copysign(b, a); }
};
// Of a NaN and a number the number, unless .NaN; -0 is less than +0.
template <bool kMax, bool kNan>
struct Extreme {
  template <class T>
  static T apply(T a, T b) {
    if (a != a || b != b) {
      if (kNan || (a != a && b != b)) {
        uint32_t bits = 0x7fffffff;
        float f;
        __builtin_memcpy(&f, &bits, 4);
        return sizeof(T) == 4 ? static_cast<T>(f) : std::numeric_limits<T>::quiet_NaN();
      }
      return a != a ? b : a;
    }
    if (a == b) return std::signbit(a) == kMax ? b : a;
    return (a > b) == kMax ? a : b;
  }
};

float flush(float x) { return std::fpclassify(x) == FP_SUBNORMAL ? std::copysign(0.f, x) : x; }
float saturate(float x) { return x > 0 ? (x < 1 ? x : 1.f) : 0.f; }

// With what the modifiers ask for: detail[0] the rounding mode + 1 (0 = to nearest), [1] .ftz, [2] .sat
template <class Op, class T, size_t kSources>
void with_modifiers(Context& c, const Ins& i, uint32_t lanes) {
  T* d = values<T>(c, i.o[0]);
  const bool ftz = i.detail[1], sat = i.detail[2];
  constexpr int modes[] = {FE_TONEAREST, FE_TONEAREST, FE_TOWARDZERO, FE_DOWNWARD, FE_UPWARD};
  const Rounding rounding(modes[i.detail[0]]);
  each_lane(lanes, [&](unsigned l) {
    T v[3] = {};
    for (size_t k = 0; k < kSources; k++) {
      v[k] = values<T>(c, i.o[k + 1])[l];
      if (ftz) v[k] = static_cast<T>(flush(static_cast<float>(v[k])));
    }
    T r;
    if constexpr (kSources == 1) r = Op::apply(v[0]);
    else if constexpr (kSources == 2) r = Op::apply(v[0], v[1]);
    else r = Op::apply(v[0], v[1], v[2]);
    if (ftz) r = static_cast<T>(flush(static_cast<float>(r)));
    d[l] = sat ? static_cast<T>(saturate(static_cast<float>(r))) : r;
  });
}

// Two f32 in a register of 64 bits
template <class Op, size_t kSources>
void in_pairs(Context& c, const Ins& i, uint32_t lanes) {
  Ins half = i;
  Operand o[kSources + 1];
  half.o = o;
  for (unsigned h = 0; h < 2; h++) {
    float v[kSources + 1][kWarpSize];
    Context separate = c;
    separate.base[kRegisters] = reinterpret_cast<char*>(v);
    for (size_t k = 0; k <= kSources; k++) {
      o[k].offset = static_cast<uint32_t>(k * sizeof v[0]);
      for (unsigned l = 0; l < kWarpSize; l++) v[k][l] = values<float>(c, i.o[k])[2 * l + h];
    }
    with_modifiers<Op, float, kSources>(separate, half, lanes);
    each_lane(lanes, [&](unsigned l) { values<float>(c, i.o[0])[2 * l + h] = v[0][l]; });
  }
}

template <class Op, size_t kSources>
void make(Decoder& d, bool may_round = true) {
  const Type t = d.peek();
  if constexpr (kSources > 1) {
    if (t.kind == Kind::kFloat && t.bits == 32 && t.packed == 2 && may_round) {
      d.type();
      d.out.detail[0] = static_cast<uint8_t>(d.take_one({"rn", "rz", "rm", "rp"}) + 1);
      d.out.detail[1] = d.take("ftz");
      d.out.run = &in_pairs<Op, kSources>;
      return same_type(d, t, kSources);
    }
  }
  const bool f64 = t.is(Kind::kFloat, 64);
  if (!f64 && !t.is(Kind::kFloat, 32)) d.unknown();
  d.type();
  const int mode = may_round ? d.take_one({"rn", "rz", "rm", "rp"}) : -1;
  const bool ftz = !f64 && d.take("ftz"), sat = !f64 && d.take("sat");
  d.out.detail[0] = static_cast<uint8_t>(mode + 1);
  d.out.detail[1] = ftz;
  d.out.detail[2] = sat;
  if (mode > 0 || ftz || sat) {
    d.out.run = f64 ? &with_modifiers<Op, double, kSources> : &with_modifiers<Op, float, kSources>;
  } else if constexpr (kSources == 1) {
    d.out.run = f64 ? &unary<Op, double> : &unary<Op, float>;
  } else if constexpr (kSources == 2) {
    d.out.run = f64 ? &binary<Op, double> : &binary<Op, float>;
  } else {
    d.out.run = f64 ? &ternary<Op, double> : &ternary<Op, float>;
  }
  same_type(d, t, kSources);
}

// The forms of one name by type
template <class Op, size_t kSources>
void arithmetic(Decoder& d, std::string_view base) {
  const Type t = d.peek();
  if (t.integer()) return make_integer(d, base);
  if (t.bits == 16) return make_half(d, base, d.type());
  make<Op, kSources>(d);
}

// rcp.approx.ftz.f64 and rsqrt.approx[.ftz].f64: the first guess of a Newton iteration; .ftz sees and gives the upper halves only.
double upper_half(double x) {
  uint64_t bits;
  __builtin_memcpy(&bits, &x, 8);
  bits &= ~uint64_t{0xffffffff};
  if ((bits >> 52 & 0x7ff) == 0) bits &= uint64_t{1} << 63;
  __builtin_memcpy(&x, &bits, 8);
  return x;
}
struct GuessReciprocal {
  static double apply(double a) { return upper_half(1 / upper_half(a)); }
};
struct GuessReciprocalRoot {
  static double apply(double a) { return upper_half(1 / std::sqrt(upper_half(a))); }
};
struct ReciprocalRoot {
  static double apply(double a) { return 1 / std::sqrt(a); }
};
void make_guess(Decoder& d, Run guess, Run whole) {
  const Type t = d.type();
  const bool ftz = d.take("ftz");
  if (!d.take("approx") || (!ftz && !whole)) d.unknown();
  d.out.run = ftz ? guess : whole;
  same_type(d, t, 1);
}

template <bool kMax>
void make_extreme(Decoder& d) {
  const bool relu = d.take("relu");  // of signed integers
  const Type t = d.peek();
  const char* base = kMax ? "max" : "min";
  if (relu && t.kind != Kind::kSigned) d.unknown();
  if (relu) return make_integer(d, kMax ? "max.relu" : "min.relu");
  if (t.integer()) return make_integer(d, base);
  if (t.bits == 16) return make_half(d, base, d.type());
  if (d.take("NaN")) make<Extreme<kMax, true>, 2>(d, false);
  else make<Extreme<kMax, false>, 2>(d, false);
}

// rcp, sqrt and div: .approx, .full or rounded
template <class Op, size_t kSources>
void make_division(Decoder& d, Approximation approximation, std::string_view base) {
  const Type t = d.peek();
  if (t.integer()) return make_integer(d, base);
  if (t.is(Kind::kFloat, 32) && (d.take("approx") || (base == "div" && d.take("full")))) return make_approximate(d, approximation);
  if (t.is(Kind::kFloat, 64) && base == "rcp" && d.has("approx")) return make_guess(d, &unary<GuessReciprocal, double>, nullptr);
  make<Op, kSources>(d);
}

void make_mad_or_fma(Decoder& d, std::string_view base) {
  const Type t = d.peek();
  if (t.integer()) return make_integer(d, base);
  if (t.bits == 16) return make_half(d, "fma", d.type());
  make<MultiplyAdd, 3>(d);
}

enum Test { kFinite, kInfinite, kNumber, kNotANumber, kNormal, kSubnormal };
template <class T>
void testp(Context& c, const Ins& i, uint32_t lanes) {
  uint32_t yes = 0;
  const T* a = values<T>(c, i.o[1]);
  each_lane(lanes, [&](unsigned l) {
    const int k = std::fpclassify(a[l]);
    const bool is[] = {k != FP_INFINITE && k != FP_NAN, k == FP_INFINITE, k != FP_NAN, k == FP_NAN, k == FP_NORMAL || k == FP_ZERO,
        k == FP_SUBNORMAL};
    yes |= static_cast<uint32_t>(is[i.detail[0]]) << l;
  });
  set_predicate(c, i.o[0], lanes, yes);
}
void make_testp(Decoder& d) {
  const int test = d.take_one({"finite", "infinite", "number", "notanumber", "normal", "subnormal"});
  const Type t = d.type();
  if (test < 0 || t.kind != Kind::kFloat || t.bits < 32) d.unknown();
  d.out.detail[0] = static_cast<uint8_t>(test);
  d.out.run = t.bits == 64 ? &testp<double> : &testp<float>;
  d.done(2);
  d.predicate_result(d.arg(0));
  d.source(d.arg(1), t);
}

void make_approximate_only(Decoder& d, Approximation a) {
  const Type t = d.peek();
  if (t.is(Kind::kFloat, 64) && a == Approximation::kReciprocalRoot)
    return make_guess(d, &unary<GuessReciprocalRoot, double>, &unary<ReciprocalRoot, double>);
  if (t.bits == 16) return make_half(d, d.base(), d.type());
  if (!d.take("approx")) d.unknown();
  make_approximate(d, a);
}

}  // namespace

const Table& float_operations() {
  static const Table table = {
      {"add", [](Decoder& d) { arithmetic<Add, 2>(d, "add"); }},
      {"sub", [](Decoder& d) { arithmetic<Subtract, 2>(d, "sub"); }},
      {"mul", [](Decoder& d) { arithmetic<Multiply, 2>(d, "mul"); }},
      {"fma", [](Decoder& d) { make_mad_or_fma(d, "fma"); }},
      {"mad", [](Decoder& d) { make_mad_or_fma(d, "mad"); }},
      {"abs", [](Decoder& d) { arithmetic<Absolute, 1>(d, "abs"); }},
      {"neg", [](Decoder& d) { arithmetic<Negate, 1>(d, "neg"); }},
      {"min", make_extreme<false>},
      {"max", make_extreme<true>},
      {"copysign", [](Decoder& d) { make<CopySign, 2>(d, false); }},
      {"div", [](Decoder& d) { make_division<Divide, 2>(d, Approximation::kDivide, "div"); }},
      {"rcp", [](Decoder& d) { make_division<Reciprocal, 1>(d, Approximation::kReciprocal, "rcp"); }},
      {"sqrt", [](Decoder& d) { make_division<SquareRoot, 1>(d, Approximation::kSquareRoot, "sqrt"); }},
      {"rsqrt", [](Decoder& d) { make_approximate_only(d, Approximation::kReciprocalRoot); }},
      {"sin", [](Decoder& d) { make_approximate_only(d, Approximation::kSine); }},
      {"cos", [](Decoder& d) { make_approximate_only(d, Approximation::kCosine); }},
      {"lg2", [](Decoder& d) { make_approximate_only(d, Approximation::kLogarithm); }},
      {"ex2", [](Decoder& d) { make_approximate_only(d, Approximation::kPower); }},
      {"tanh", [](Decoder& d) { make_approximate_only(d, Approximation::kTangent); }},
      {"testp", make_testp},
  };
  return table;
}

}  // namespace emu::ptx
