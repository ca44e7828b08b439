// SPDX-License-Identifier: Apache-2.0
// PTX ISA, "Comparison and Selection Instructions".
#include "half.h"
#include "operations.h"

namespace emu::ptx {
namespace {

enum Comparison : uint8_t { kEq, kNe, kLt, kLe, kGt, kGe, kLo, kLs, kHi, kHs, kEqu, kNeu, kLtu, kLeu, kGtu, kGeu, kNum, kNan };
int take_comparison(Decoder& d) {
  return d.take_one({"eq", "ne", "lt", "le", "gt", "ge", "lo", "ls", "hi", "hs", "equ", "neu", "ltu", "leu", "gtu", "geu", "num", "nan"});
}

// Ordered comparisons are false of a NaN, the ones that end in u are true.
template <int kHow, class T>
bool compare(T a, T b) {
  const bool unordered = a != a || b != b;
  switch (kHow) {
    case kEq: return a == b;
    case kNe: return a != b && !unordered;
    case kLt: case kLo: return a < b;
    case kLe: case kLs: return a <= b;
    case kGt: case kHi: return a > b;
    case kGe: case kHs: return a >= b;
    case kEqu: return a == b || unordered;
    case kNeu: return a != b;
    case kLtu: return a < b || unordered;
    case kLeu: return a <= b || unordered;
    case kGtu: return a > b || unordered;
    case kGeu: return a >= b || unordered;
    case kNum: return !unordered;
    default: return unordered;
  }
}

// How 16-bit floats are read: as f32
template <class T> T load(T v) { return v; }
float load(Half v) { return Half::widen(v); }
float load(Brain v) { return Brain::widen(v); }

enum Combination : uint8_t { kAlone, kAnd, kOr, kXor };

template <int kHow, class T>
uint32_t outcomes(const Context& c, const Ins& i, uint32_t lanes) {
  const T *a = values<T>(c, i.o[i.results]), *b = values<T>(c, i.o[i.results + 1]);
  uint32_t yes = 0;
  each_lane(lanes, [&](unsigned l) { yes |= static_cast<uint32_t>(compare<kHow>(load(a[l]), load(b[l]))) << l; });
  return yes;
}
using Outcomes = uint32_t (*)(const Context&, const Ins&, uint32_t);

template <class T, int... k>
constexpr std::array<Outcomes, 18> outcomes_of(std::integer_sequence<int, k...>) { return {&outcomes<k, T>...}; }
template <class T>
constexpr std::array<Outcomes, 18> kOutcomes = outcomes_of<T>(std::make_integer_sequence<int, 18>());

Outcomes pick(const Decoder& d, Type t, int how) {
  if (how < 0 || t.packed != 1) d.unknown();
  if (t.kind == Kind::kFloat) return t.bits == 64 ? kOutcomes<double>[how] : t.bits == 32 ? kOutcomes<float>[how] : kOutcomes<Half>[how];
  if (t.kind == Kind::kBfloat) return kOutcomes<Brain>[how];
  if (!t.integer() || how > kHs) d.unknown();
  const bool is_signed = t.kind == Kind::kSigned && how < kLo;
  switch (t.bits) {
    case 16: return is_signed ? kOutcomes<int16_t>[how] : kOutcomes<uint16_t>[how];
    case 32: return is_signed ? kOutcomes<int32_t>[how] : kOutcomes<uint32_t>[how];
    case 64: return is_signed ? kOutcomes<int64_t>[how] : kOutcomes<uint64_t>[how];
    default: d.unknown();
  }
}

uint32_t combine(uint8_t how, uint32_t a, uint32_t b) { return how == kAnd ? a & b : how == kOr ? a | b : how == kXor ? a ^ b : a; }

// One comparison is in `immediate`; detail[0] says how it is combined with the predicate that is the last operand.
void setp(Context& c, const Ins& i, uint32_t lanes) {
  const uint32_t yes = reinterpret_cast<Outcomes>(i.immediate)(c, i, lanes);
  const uint32_t other = i.detail[0] ? predicate(c, i.o[i.operands - 1]) : 0;
  set_predicate(c, i.o[0], lanes, combine(i.detail[0], yes, other));
  if (i.results == 2) set_predicate(c, i.o[1], lanes, combine(i.detail[0], ~yes, other));
}

// Of the lower or upper halves of a pair
template <class H>
uint32_t outcomes_of_half(const Context& c, const Ins& i, uint32_t lanes, int half) {
  const uint32_t *a = values<uint32_t>(c, i.o[i.results]), *b = values<uint32_t>(c, i.o[i.results + 1]);
  H values[2][kWarpSize];
  for (unsigned l = 0; l < kWarpSize; l++) {
    values[0][l] = {static_cast<uint16_t>(a[l] >> 16 * half)};
    values[1][l] = {static_cast<uint16_t>(b[l] >> 16 * half)};
  }
  Context pair = c;
  pair.base[kRegisters] = reinterpret_cast<char*>(values);
  Operand o[2];
  o[1].offset = sizeof values[0];
  Ins one = i;
  one.o = o;
  one.results = 0;
  const uint32_t yes = reinterpret_cast<Outcomes>(i.immediate)(pair, one, lanes);
  return i.detail[0] ? combine(i.detail[0], yes, predicate(c, i.o[i.operands - 1])) : yes;
}

// d = all ones or 1.0 where it is so, else 0; `target` is that value of T's width
template <class T>
void set(Context& c, const Ins& i, uint32_t lanes) {
  uint32_t yes = reinterpret_cast<Outcomes>(i.immediate)(c, i, lanes);
  if (i.detail[0]) yes = combine(i.detail[0], yes, predicate(c, i.o[i.operands - 1]));
  T* d = values<T>(c, i.o[0]);
  each_lane(lanes, [&](unsigned l) { d[l] = static_cast<T>(yes >> l & 1 ? i.target : 0); });
}
template <class H>
void set_pair(Context& c, const Ins& i, uint32_t lanes) {
  const uint32_t low = outcomes_of_half<H>(c, i, lanes, 0), high = outcomes_of_half<H>(c, i, lanes, 1);
  uint32_t* d = values<uint32_t>(c, i.o[0]);
  each_lane(lanes, [&](unsigned l) { d[l] = (low >> l & 1 ? i.target : 0) | (high >> l & 1 ? i.target << 16 : 0); });
}

// setp.lt.f16x2 p|q, a, b: each of the pair
template <class H>
void setp_pair(Context& c, const Ins& i, uint32_t lanes) {
  const uint32_t low = outcomes_of_half<H>(c, i, lanes, 0), high = outcomes_of_half<H>(c, i, lanes, 1);
  set_predicate(c, i.o[0], lanes, low);
  set_predicate(c, i.o[1], lanes, high);
}

// result: width of the result, 1 for predicates
void finish_comparison(Decoder& d, Type t, int how, int result) {
  const bool combined = d.out.detail[0] != kAlone;
  Type single = t;
  single.packed = 1;
  d.out.immediate = reinterpret_cast<int64_t>(pick(d, single, how));
  d.done(3 + combined);
  if (d.arg(0).form == Arg::kPair) {
    d.predicate_result(d.arg(0).parts[0]);
    d.predicate_result(d.arg(0).parts[1]);
  } else {
    d.result(d.arg(0), result);
  }
  d.source(d.arg(1), t);
  d.source(d.arg(2), t);
  if (combined) d.predicate_source(d.arg(3));
}

void make_setp(Decoder& d) {
  const int how = take_comparison(d);
  const Type t = d.type();
  d.out.detail[0] = static_cast<uint8_t>(d.take_one({"and", "or", "xor"}) + 1);
  d.take("ftz");
  d.out.run = t.packed == 2 ? (t.kind == Kind::kFloat ? &setp_pair<Half> : &setp_pair<Brain>) : &setp;
  if (t.packed == 2 && d.arg(0).form != Arg::kPair) d.refuse("a comparison of pairs with one result");
  finish_comparison(d, t, how, 1);
}

void make_set(Decoder& d) {
  const int how = take_comparison(d);
  const Type t = d.type(), result = d.type();
  d.out.detail[0] = static_cast<uint8_t>(d.take_one({"and", "or", "xor"}) + 1);
  d.take("ftz");
  const size_t bytes = result.bytes();
  if ((bytes != 2 && bytes != 4) || (t.packed == 2 && bytes != 4) || result.kind == Kind::kPredicate) d.unknown();
  const bool half = bytes == 2 || t.packed == 2;
  d.out.target = result.kind == Kind::kFloat ? (half ? 0x3c00 : 0x3f800000) : result.kind == Kind::kBfloat ? 0x3f80 : half ? 0xffff : ~0u;
  if (t.packed == 2) d.out.run = t.kind == Kind::kFloat ? &set_pair<Half> : &set_pair<Brain>;
  else d.out.run = bytes == 2 ? &set<uint16_t> : &set<uint32_t>;
  finish_comparison(d, t, how, static_cast<int>(8 * bytes));
}

template <class T>
void selp(Context& c, const Ins& i, uint32_t lanes) {
  T* d = values<T>(c, i.o[0]);
  const T *a = values<T>(c, i.o[1]), *b = values<T>(c, i.o[2]);
  const uint32_t p = predicate(c, i.o[3]);
  each_lane(lanes, [=](unsigned l) { d[l] = p >> l & 1 ? a[l] : b[l]; });
}
void make_selp(Decoder& d) {
  const Type t = d.type();
  const size_t n = t.bytes();
  if (n < 2 || t.kind == Kind::kPredicate) d.unknown();
  d.out.run = n == 2 ? &selp<uint16_t> : n == 4 ? &selp<uint32_t> : &selp<uint64_t>;
  d.out.passes_undefined = true;
  d.done(4);
  d.result(d.arg(0), static_cast<int>(8 * n));
  d.source(d.arg(1), t);
  d.source(d.arg(2), t);
  d.predicate_source(d.arg(3));
}

template <class T, class S>
void slct(Context& c, const Ins& i, uint32_t lanes) {
  T* d = values<T>(c, i.o[0]);
  const T *a = values<T>(c, i.o[1]), *b = values<T>(c, i.o[2]);
  const S* sign = values<S>(c, i.o[3]);
  each_lane(lanes, [=](unsigned l) { d[l] = sign[l] >= 0 ? a[l] : b[l]; });
}
void make_slct(Decoder& d) {
  const Type of = d.type(), t = d.type();
  d.take("ftz");
  const bool real = of.kind == Kind::kFloat;
  if (of.bits != 32 || t.bytes() < 2) d.unknown();
  d.out.run = t.bytes() == 2 ? (real ? &slct<uint16_t, float> : &slct<uint16_t, int32_t>)
              : t.bytes() == 4 ? (real ? &slct<uint32_t, float> : &slct<uint32_t, int32_t>)
                               : (real ? &slct<uint64_t, float> : &slct<uint64_t, int32_t>);
  d.done(4);
  d.result(d.arg(0), static_cast<int>(8 * t.bytes()));
  d.source(d.arg(1), t);
  d.source(d.arg(2), t);
  d.source(d.arg(3), of);
}

}  // namespace

const Table& compare_operations() {
  static const Table table = {{"setp", make_setp}, {"set", make_set}, {"selp", make_selp}, {"slct", make_slct}};
  return table;
}

}  // namespace emu::ptx
