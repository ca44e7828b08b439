// SPDX-License-Identifier: Apache-2.0
// Integer arithmetic: PTX ISA, "Integer Arithmetic Instructions".
#include "integer.h"

namespace emu::ptx {
namespace {

OPERATION2(Add, Unsigned<T>(a) + Unsigned<T>(b))
OPERATION2(Subtract, Unsigned<T>(a) - Unsigned<T>(b))
OPERATION2(Min, a < b ? a : b)
OPERATION2(Max, a > b ? a : b)
OPERATION2(MinRelu, a < 0 || b < 0 ? T(0) : a < b ? a : b)
OPERATION2(MaxRelu, a < 0 && b < 0 ? T(0) : a > b ? a : b)
// Undefined in PTX; hardware gives all ones and the dividend, and no lane may stop the device.
OPERATION2(Divide, b == 0 ? T(-1) : std::is_signed_v<T> && b == T(-1) ? T(Unsigned<T>(0) - Unsigned<T>(a)) : a / b)
OPERATION2(Remainder, b == 0 ? a : std::is_signed_v<T> && b == T(-1) ? T(0) : a % b)
OPERATION1(Negate, Unsigned<T>(0) - Unsigned<T>(a))
OPERATION1(Absolute, a < 0 ? T(Unsigned<T>(0) - Unsigned<T>(a)) : a)

struct MultiplyWide {
  template <class T>
  static Wide<T> apply(T a, T b) { return Wide<T>(a) * b; }
};
struct MultiplyAddWide {
  template <class T>
  static Wide<T> apply(T a, T b, Wide<T> c) { return static_cast<Wide<T>>(Unsigned<Wide<T>>(Wide<T>(a) * b) + Unsigned<Wide<T>>(c)); }
};
struct MultiplyAddLow {
  template <class T>
  static T apply(T a, T b, T c) { return static_cast<T>(MultiplyLow::apply(a, b) + Unsigned<T>(c)); }
};
struct MultiplyAddHigh {
  template <class T>
  static T apply(T a, T b, T c) { return static_cast<T>(Unsigned<T>(MultiplyHigh::apply(a, b)) + Unsigned<T>(c)); }
};
template <bool kHigh, bool kSigned>
struct Multiply24 {
  static int64_t cut(uint32_t a) { return kSigned ? static_cast<int32_t>(a << 8) >> 8 : static_cast<int64_t>(a & 0xffffff); }
  static uint32_t apply(uint32_t a, uint32_t b) { return static_cast<uint32_t>((cut(a) * cut(b)) >> (kHigh ? 16 : 0)); }
  static uint32_t apply(uint32_t a, uint32_t b, uint32_t c) { return apply(a, b) + c; }
};
struct AbsoluteDifference {
  template <class T>
  static T apply(T a, T b, T c) { return static_cast<T>(Unsigned<T>(c) + (a < b ? Unsigned<T>(b) - Unsigned<T>(a)
      : Unsigned<T>(a) - Unsigned<T>(b))); }
};
template <class A, class B>
struct Dot4 {
  static uint32_t apply(uint32_t a, uint32_t b, uint32_t c) {
    for (int k = 0; k < 32; k += 8) c += static_cast<uint32_t>(static_cast<A>(a >> k) * static_cast<B>(b >> k));
    return c;
  }
};

// Two halves of a with two bytes of b: those from kFrom on
template <class A, class B, int kFrom>
struct Dot2 {
  static uint32_t apply(uint32_t a, uint32_t b, uint32_t c) {
    for (int k = 0; k < 2; k++) c += static_cast<uint32_t>(static_cast<A>(a >> 16 * k) * static_cast<B>(b >> (kFrom + 8 * k)));
    return c;
  }
};

// Both halves of a register
template <class Op, class T>
struct Pair {
  static uint32_t apply(uint32_t a, uint32_t b) {
    const auto half = [&](int at) { return static_cast<uint32_t>(static_cast<uint16_t>(Op::apply(static_cast<T>(a >> at),
        static_cast<T>(b >> at)))) << at; };
    return half(0) | half(16);
  }
};
// add, min and max
void make_pair(Decoder& d, auto op) {
  using Op = decltype(op);
  const Type t = d.type();
  d.out.run = t.kind == Kind::kSigned ? &binary<Pair<Op, int16_t>, uint32_t> : &binary<Pair<Op, uint16_t>, uint32_t>;
  same_type(d, t, 2);
}

void make_arithmetic(Decoder& d, auto op, size_t sources = 2) {
  d.out.passes_undefined = true;
  using Op = decltype(op);
  const Type t = d.type();
  if constexpr (requires { Op::apply(1, 1); }) d.out.run = by_integer(d, t, []<class T>(T) -> Run { return &binary<Op, T>; });
  else d.out.run = by_integer(d, t, []<class T>(T) -> Run { return &unary<Op, T>; });
  same_type(d, t, sources);
}

void make_mul(Decoder& d) {
  const int part = d.take_one({"lo", "hi", "wide"});
  const Type t = d.type();
  if (part < 0) d.unknown();
  if (part < 2) {
    d.out.run = by_integer(d, t, [&]<class T>(T) -> Run { return part ? &binary<MultiplyHigh, T> : &binary<MultiplyLow, T>; });
    return same_type(d, t, 2);
  }
  if (t.bits > 32) d.unknown();
  d.out.run = by_integer(d, t, []<class T>(T) -> Run { return &map<MultiplyWide, Wide<T>, T, T>; });
  d.done(3);
  d.result(d.arg(0), 2 * t.bits);
  d.source(d.arg(1), t);
  d.source(d.arg(2), t);
}

void make_mad(Decoder& d) {
  if (d.take("cc")) return make_mad_cc(d);
  const int part = d.take_one({"lo", "hi", "wide"});
  const Type t = d.type();
  if (part < 0) d.unknown();
  if (part < 2) {
    d.out.run = by_integer(d, t, [&]<class T>(T) -> Run { return part ? &ternary<MultiplyAddHigh, T> : &ternary<MultiplyAddLow, T>; });
    return same_type(d, t, 3);
  }
  if (t.bits > 32) d.unknown();
  d.out.run = by_integer(d, t, []<class T>(T) -> Run { return &map<MultiplyAddWide, Wide<T>, T, T, Wide<T>>; });
  d.done(4);
  d.result(d.arg(0), 2 * t.bits);
  d.source(d.arg(1), t);
  d.source(d.arg(2), t);
  d.source(d.arg(3), Type{t.kind, static_cast<uint8_t>(2 * t.bits), 1});
}

template <size_t kSources>
void make_24(Decoder& d) {
  const bool high = d.take_one({"lo", "hi"}) == 1;
  const Type t = d.type();
  if (t.bits != 32) d.unknown();
  const auto pick = [&]<bool kSigned>() -> Run {
    if constexpr (kSources == 2) return high ? &binary<Multiply24<true, kSigned>, uint32_t> : &binary<Multiply24<false, kSigned>, uint32_t>;
    else return high ? &ternary<Multiply24<true, kSigned>, uint32_t> : &ternary<Multiply24<false, kSigned>, uint32_t>;
  };
  d.out.run = t.kind == Kind::kSigned ? pick.template operator()<true>() : pick.template operator()<false>();
  same_type(d, t, kSources);
}

void make_dp4a(Decoder& d) {
  const Type b = d.type(), a = d.type();
  const bool as = a.kind == Kind::kSigned, bs = b.kind == Kind::kSigned;
  d.out.run = as ? (bs ? &ternary<Dot4<int8_t, int8_t>, uint32_t> : &ternary<Dot4<int8_t, uint8_t>, uint32_t>)
                 : (bs ? &ternary<Dot4<uint8_t, int8_t>, uint32_t> : &ternary<Dot4<uint8_t, uint8_t>, uint32_t>);
  same_type(d, kU32, 3);
}

void make_dp2a(Decoder& d) {
  const bool high = d.take_one({"lo", "hi"}) == 1;
  const Type b = d.type(), a = d.type();
  const auto pick = [&]<class A, class B>(A, B) -> Run {
    return high ? &ternary<Dot2<A, B, 16>, uint32_t> : &ternary<Dot2<A, B, 0>, uint32_t>;
  };
  const bool bs = b.kind == Kind::kSigned;
  d.out.run = a.kind == Kind::kSigned ? (bs ? pick(int16_t(), int8_t()) : pick(int16_t(), uint8_t()))
                                      : (bs ? pick(uint16_t(), int8_t()) : pick(uint16_t(), uint8_t()));
  same_type(d, kU32, 3);
}

}  // namespace

void make_integer(Decoder& d, std::string_view base) {
  if (d.peek().packed == 2 && base == "add") return make_pair(d, Add());
  if (d.peek().packed == 2 && base == "min") return make_pair(d, Min());
  if (d.peek().packed == 2 && base == "max") return make_pair(d, Max());
  if (d.peek().packed == 2 && base == "min.relu") return make_pair(d, MinRelu());
  if (d.peek().packed == 2 && base == "max.relu") return make_pair(d, MaxRelu());
  if (base == "min.relu") return make_arithmetic(d, MinRelu());
  if (base == "max.relu") return make_arithmetic(d, MaxRelu());
  if (base == "add") return d.take("cc") ? make_add_cc(d) : make_arithmetic(d, Add());
  if (base == "sub") return d.take("cc") ? make_sub_cc(d) : make_arithmetic(d, Subtract());
  if (base == "mul") return make_mul(d);
  if (base == "mad") return make_mad(d);
  if (base == "div") return make_arithmetic(d, Divide());
  if (base == "min") return make_arithmetic(d, Min());
  if (base == "max") return make_arithmetic(d, Max());
  if (base == "abs") return make_arithmetic(d, Absolute(), 1);
  if (base == "neg") return make_arithmetic(d, Negate(), 1);
  d.unknown();
}

const Table& integer_operations() {
  static const Table table = {
      {"mul24", make_24<2>},
      {"mad24", make_24<3>},
      {"rem", [](Decoder& d) { make_arithmetic(d, Remainder()); }},
      {"sad", [](Decoder& d) {
         const Type t = d.type();
         d.out.run = by_integer(d, t, []<class T>(T) -> Run { return &ternary<AbsoluteDifference, T>; });
         same_type(d, t, 3);
       }},
      {"dp4a", make_dp4a},
      {"dp2a", make_dp2a},
  };
  return table;
}

}  // namespace emu::ptx
