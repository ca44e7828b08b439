// SPDX-License-Identifier: Apache-2.0
// Logic, shifts and fields of bits: PTX ISA, "Logic and Shift Instructions", and of the integer instructions popc, clz, bfind, brev, bfe,
// bfi.
#include "integer.h"

namespace emu::ptx {
namespace {

OPERATION2(And, a & b)
OPERATION2(Or, a | b)
OPERATION2(Xor, a ^ b)
OPERATION1(Not, ~a)
OPERATION1(LogicalNot, a == 0)
struct PopulationCount {
  static uint32_t apply(uint64_t a) { return static_cast<uint32_t>(__builtin_popcountll(a)); }
};
template <int kBits>
struct LeadingZeros {
  static uint32_t apply(uint64_t a) { return a ? static_cast<uint32_t>(__builtin_clzll(a)) - (64 - kBits) : kBits; }
};
template <class T, bool kShift>
struct FindLeading {
  static uint32_t apply(T a) {
    if (std::is_signed_v<T> && a < 0) a = static_cast<T>(~a);
    if (a == 0) return ~0u;
    const auto bit = 63u - static_cast<uint32_t>(__builtin_clzll(static_cast<uint64_t>(a)));
    return kShift ? 8 * sizeof(T) - 1 - bit : bit;
  }
};
struct Reverse {
  template <class T>
  static T apply(T a) {
    T r = 0;
    for (unsigned k = 0; k < 8 * sizeof(T); k++) r = static_cast<T>(r << 1 | (a >> k & 1));
    return r;
  }
};
template <class T>
struct ExtractField {
  static T apply(T a, uint32_t position, uint32_t length) {
    constexpr uint32_t kBits = 8 * sizeof(T);
    position &= 255, length &= 255;
    const uint32_t sign_at = std::min(position + length - 1, kBits - 1);
    const bool sign = std::is_signed_v<T> && length && (Unsigned<T>(a) >> sign_at & 1);
    Unsigned<T> r = sign ? ~Unsigned<T>(0) : 0;
    for (uint32_t k = 0; k < length && k < kBits && position + k < kBits; k++)
      r = (r & ~(Unsigned<T>(1) << k)) | (Unsigned<T>(a) >> (position + k) & 1) << k;
    if (length == 0) r = 0;
    return static_cast<T>(r);
  }
};
template <class T>
struct InsertField {
  static T apply(T a, T b, uint32_t position, uint32_t length) {
    position &= 255, length &= 255;
    constexpr uint32_t kBits = 8 * sizeof(T);
    if (position >= kBits || length == 0) return b;
    const T ones = length >= kBits ? static_cast<T>(~T(0)) : static_cast<T>((T(1) << length) - 1);
    return static_cast<T>((b & ~(ones << position)) | (a & ones) << position);
  }
};
// Shifts are clamped to the width; a right shift of a negative value keeps the sign.
template <class T>
struct ShiftLeft {
  static T apply(T a, uint32_t n) { return n >= 8 * sizeof(T) ? T(0) : static_cast<T>(a << n); }
};
template <class T>
struct ShiftRight {
  static T apply(T a, uint32_t n) { return n >= 8 * sizeof(T) ? static_cast<T>(a < 0 ? -1 : 0) : static_cast<T>(a >> n); }
};
template <bool kLeft, bool kClamp>
struct FunnelShift {
  static uint32_t apply(uint32_t a, uint32_t b, uint32_t n) {
    n = kClamp ? std::min(n, 32u) : n & 31u;
    const uint64_t both = a | static_cast<uint64_t>(b) << 32;
    return static_cast<uint32_t>(kLeft ? (both << n) >> 32 : both >> n);
  }
};

// d of 32 bits, counted in a
void make_count(Decoder& d, Run of32, Run of64) {
  const Type t = d.type();
  if (t.bits < 32) d.unknown();
  d.out.run = t.bits == 32 ? of32 : of64;
  d.done(2);
  d.result(d.arg(0), 32);
  d.source(d.arg(1), t);
}

void make_bfind(Decoder& d) {
  const bool shift = d.take("shiftamt");
  const Type t = d.type();
  if (t.bits < 32) d.unknown();
  d.out.run = by_integer(d, t, [&]<class T>(T) -> Run {
    return shift ? &map<FindLeading<T, true>, uint32_t, T> : &map<FindLeading<T, false>, uint32_t, T>;
  });
  d.done(2);
  d.result(d.arg(0), 32);
  d.source(d.arg(1), t);
}

// d = op(a of the type, ..., then 32-bit numbers)
void finish_shift(Decoder& d, Type t, size_t typed, size_t numbers) {
  d.out.passes_undefined = true;
  d.done(1 + typed + numbers);
  d.result(d.arg(0), t.bits);
  for (size_t k = 1; k <= typed; k++) d.source(d.arg(k), t);
  for (size_t k = 0; k < numbers; k++) d.source(d.arg(1 + typed + k), kU32);
}

void make_shl(Decoder& d) {
  const Type t = d.type();
  d.out.run = by_bits(d, t, []<class T>(T) -> Run { return &map<ShiftLeft<T>, T, T, uint32_t>; });
  finish_shift(d, t, 1, 1);
}
void make_shr(Decoder& d) {
  const Type t = d.type();
  d.out.run = by_integer(d, t, []<class T>(T) -> Run { return &map<ShiftRight<T>, T, T, uint32_t>; });
  finish_shift(d, t, 1, 1);
}
void make_bfe(Decoder& d) {
  const Type t = d.type();
  d.out.run = by_integer(d, t, []<class T>(T) -> Run { return &map<ExtractField<T>, T, T, uint32_t, uint32_t>; });
  finish_shift(d, t, 1, 2);
}
void make_bfi(Decoder& d) {
  const Type t = d.type();
  d.out.run = by_bits(d, t, []<class T>(T) -> Run { return &map<InsertField<T>, T, T, T, uint32_t, uint32_t>; });
  finish_shift(d, t, 2, 2);
}
void make_shf(Decoder& d) {
  const bool left = d.take_one({"r", "l"}) == 1, clamp = d.take_one({"wrap", "clamp"}) == 1;
  const Type t = d.type();
  d.out.run = left ? (clamp ? &ternary<FunnelShift<true, true>, uint32_t> : &ternary<FunnelShift<true, false>, uint32_t>)
                   : (clamp ? &ternary<FunnelShift<false, true>, uint32_t> : &ternary<FunnelShift<false, false>, uint32_t>);
  same_type(d, t, 3);
}
// and, or, xor, not of predicates
template <class Op>
void of_predicates(Context& c, const Ins& i, uint32_t lanes) {
  if constexpr (requires { Op::apply(1u, 1u); })
    set_predicate(c, i.o[0], lanes, Op::apply(predicate(c, i.o[1]), predicate(c, i.o[2])));
  else set_predicate(c, i.o[0], lanes, Op::apply(predicate(c, i.o[1])));
}
template <class Op, size_t kSources>
void make_logic(Decoder& d) {
  const Type t = d.type();
  d.out.passes_undefined = t.kind != Kind::kPredicate;
  if (t.kind == Kind::kPredicate) {
    d.out.run = &of_predicates<Op>;
    d.done(1 + kSources);
    d.predicate_result(d.arg(0));
    for (size_t k = 1; k <= kSources; k++) d.predicate_source(d.arg(k));
    return;
  }
  if constexpr (kSources == 2) d.out.run = by_bits(d, t, []<class T>(T) -> Run { return &binary<Op, T>; });
  else d.out.run = by_bits(d, t, []<class T>(T) -> Run { return &unary<Op, T>; });
  same_type(d, t, kSources);
}

void lop3(Context& c, const Ins& i, uint32_t lanes) {
  uint32_t* d = values<uint32_t>(c, i.o[0]);
  const uint32_t *a = values<uint32_t>(c, i.o[1]), *b = values<uint32_t>(c, i.o[2]), *e = values<uint32_t>(c, i.o[3]);
  const auto table = static_cast<uint32_t>(i.immediate);
  each_lane(lanes, [=](unsigned l) {
    uint32_t r = 0;
    for (uint32_t k = 0; k < 8; k++)
      if (table >> k & 1) r |= (k & 4 ? a[l] : ~a[l]) & (k & 2 ? b[l] : ~b[l]) & (k & 1 ? e[l] : ~e[l]);
    d[l] = r;
  });
}
void make_lop3(Decoder& d) {
  if (!d.take("b32")) d.unknown();
  d.done(5);
  if (d.arg(4).form != Arg::kInteger || d.arg(4).bits > 255) d.refuse("lop3 with a table that is no number up to 255");
  d.out.immediate = static_cast<int64_t>(d.arg(4).bits);
  d.out.run = &lop3;
  d.result(d.arg(0), 32);
  for (size_t k = 1; k < 4; k++) d.source(d.arg(k), kU32);
}

// bmsk: b ones from bit a on. Both are clamped to the width, or wrapped around it.
template <bool kClamp>
struct MaskOfBits {
  static uint32_t apply(uint32_t a, uint32_t b) {
    a = kClamp ? std::min(a, 32u) : a & 31;
    b = kClamp ? std::min(b, 32u) : b & 31;
    return static_cast<uint32_t>(((uint64_t{1} << b) - 1) << a);
  }
};
void make_bmsk(Decoder& d) {
  const int mode = d.take_one({"clamp", "wrap"});
  if (mode < 0 || !d.take("b32")) d.unknown();
  d.out.run = mode == 0 ? &binary<MaskOfBits<true>, uint32_t> : &binary<MaskOfBits<false>, uint32_t>;
  same_type(d, kU32, 2);
}

// szext: a from b bits to the width
template <class T, bool kClamp>
struct Extend {
  static uint32_t apply(T a, uint32_t b) {
    const uint32_t n = kClamp ? std::min(b, 32u) : b & 31;
    if (n == 0) return 0;
    return static_cast<uint32_t>(static_cast<T>(static_cast<uint32_t>(a) << (32 - n)) >> (32 - n));
  }
};
void make_szext(Decoder& d) {
  const int mode = d.take_one({"clamp", "wrap"});
  const Type t = d.type();
  if (mode < 0 || t.bits != 32 || !t.integer()) d.unknown();
  const auto pick = [&]<class T>(T) -> Run {
    return mode == 0 ? &map<Extend<T, true>, uint32_t, T, uint32_t> : &map<Extend<T, false>, uint32_t, T, uint32_t>;
  };
  d.out.run = t.kind == Kind::kSigned ? pick(int32_t()) : pick(uint32_t());
  finish_shift(d, t, 1, 1);
}

// fns: where the n-th one of the mask is, counted from a bit on, upwards or downwards
struct FindNth {
  static uint32_t apply(uint32_t mask, uint32_t base, int32_t n) {
    if (n == 0) return base < 32 && (mask >> base & 1) ? base : ~0u;
    int64_t left = n < 0 ? -static_cast<int64_t>(n) : n;
    for (int64_t at = base; at >= 0 && at < 32; at += n < 0 ? -1 : 1)
      if ((mask >> at & 1) && --left == 0) return static_cast<uint32_t>(at);
    return ~0u;
  }
};
void make_fns(Decoder& d) {
  if (!d.take("b32")) d.unknown();
  d.out.run = &map<FindNth, uint32_t, uint32_t, uint32_t, int32_t>;
  same_type(d, kU32, 3);
}

}  // namespace

const Table& bit_operations() {
  static const Table table = {
      {"popc", [](Decoder& d) { make_count(d, &map<PopulationCount, uint32_t, uint32_t>, &map<PopulationCount, uint32_t, uint64_t>); }},
      {"clz", [](Decoder& d) { make_count(d, &map<LeadingZeros<32>, uint32_t, uint32_t>, &map<LeadingZeros<64>, uint32_t, uint64_t>); }},
      {"bfind", make_bfind},
      {"brev", [](Decoder& d) {
         const Type t = d.type();
         d.out.run = by_bits(d, t, []<class T>(T) -> Run { return &unary<Reverse, T>; });
         same_type(d, t, 1);
       }},
      {"bfe", make_bfe},
      {"bfi", make_bfi},
      {"and", make_logic<And, 2>},
      {"or", make_logic<Or, 2>},
      {"xor", make_logic<Xor, 2>},
      {"not", make_logic<Not, 1>},
      {"cnot", make_logic<LogicalNot, 1>},
      {"lop3", make_lop3},
      {"bmsk", make_bmsk},
      {"szext", make_szext},
      {"fns", make_fns},
      {"shl", make_shl},
      {"shr", make_shr},
      {"shf", make_shf},
  };
  return table;
}

}  // namespace emu::ptx
