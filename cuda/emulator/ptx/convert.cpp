// SPDX-License-Identifier: Apache-2.0
// cvt: PTX ISA, "Data Movement and Conversion Instructions".
#include <cfenv>
#include <limits>

#include "float8.h"
#include "half.h"
#include "operations.h"

namespace emu::ptx {
namespace {

enum To : uint8_t { kNearest, kZero, kDown, kUp, kAway };
constexpr int kFenv[] = {FE_TONEAREST, FE_TOWARDZERO, FE_DOWNWARD, FE_UPWARD, FE_TONEAREST};
constexpr int kSse[] = {_MM_FROUND_TO_NEAREST_INT, _MM_FROUND_TO_ZERO, _MM_FROUND_TO_NEG_INF, _MM_FROUND_TO_POS_INF,
    _MM_FROUND_TO_NEAREST_INT};

double to_integral(double x, uint8_t how) {
  switch (how) {
    case kZero: return std::trunc(x);
    case kDown: return std::floor(x);
    case kUp: return std::ceil(x);
    case kAway: return std::round(x);
    default: return std::nearbyint(x);
  }
}

template <class T>
constexpr bool kHalfType = std::is_same_v<T, Half> || std::is_same_v<T, Brain>;
template <class T>
constexpr bool kReal = std::is_floating_point_v<T> || kHalfType<T>;

template <class T>
auto read(T v) {
  if constexpr (kHalfType<T>) return static_cast<double>(T::widen(v));
  else if constexpr (std::is_floating_point_v<T>) return static_cast<double>(v);
  else return v;
}

// A NaN from or to 64 bits becomes the number that has the highest bit alone, else 0.
template <class D, class S>
D saturated_integer(double x, uint8_t how) {
  if (x != x) return sizeof(S) == 8 || sizeof(D) == 8 ? static_cast<D>(uint64_t{1} << (8 * sizeof(D) - 1)) : D(0);
  x = to_integral(x, how);
  constexpr auto least = static_cast<double>(std::numeric_limits<D>::min());
  const double beyond = std::ldexp(1.0, std::numeric_limits<D>::digits);
  if (x < least) return std::numeric_limits<D>::min();
  return x >= beyond ? std::numeric_limits<D>::max() : static_cast<D>(x);
}

template <class D, class S>
D clamp_integer(S v) {
  if constexpr (std::is_signed_v<S>) {
    if (v < 0 && (!std::is_signed_v<D> || v < static_cast<int64_t>(std::numeric_limits<D>::min()))) return std::numeric_limits<D>::min();
    if (v < 0) return static_cast<D>(v);
  }
  return static_cast<uint64_t>(v) > static_cast<uint64_t>(std::numeric_limits<D>::max()) ? std::numeric_limits<D>::max()
      : static_cast<D>(v);
}

float flush(float x) { return std::fpclassify(x) == FP_SUBNORMAL ? std::copysign(0.f, x) : x; }

// detail: [0] rounding, [1] .ftz, [2] .sat, [3] .relu, [4] rounds to an integral value
template <class D, class S>
D convert(S value, const Ins& i) {
  const uint8_t how = i.detail[0];
  auto v = read(value);
  if constexpr (std::is_same_v<S, float>)
    if (i.detail[1]) v = flush(value);
  if constexpr (!kReal<D> && !kReal<S>) {
    return i.detail[2] ? clamp_integer<D>(v) : static_cast<D>(v);
  } else if constexpr (!kReal<D>) {
    return saturated_integer<D, S>(v, how);
  } else {
    if constexpr (kReal<S>) {
      if (i.detail[4]) v = to_integral(v, how);
      if (i.detail[2]) v = v > 0 ? std::min(v, decltype(v)(1)) : decltype(v)(0);
      if (i.detail[3]) v = v > 0 || v != v ? v : 0;
    }
    if constexpr (kHalfType<D>) {
      return D::narrow(static_cast<double>(v), kSse[how]);
    } else {
      D d = static_cast<D>(v);  // under the rounding mode that is set
      if constexpr (std::is_same_v<D, float>) {
        if (i.detail[1]) d = flush(d);
      }
      if (i.detail[2] && !kReal<S>) d = d > 0 ? std::min(d, D(1)) : D(0);
      return d;
    }
  }
}

// A register may be wider than the type: it holds the value with its sign or zeroes in front.

template <class D, class S>
void cvt(Context& c, const Ins& i, uint32_t lanes) {
  const Rounding rounding(kFenv[i.detail[0]]);
  const Operand &to = i.o[0], &from = i.o[1];
  char* d = values<char>(c, to);
  const char* s = values<char>(c, from);
  const unsigned to_bytes = to.bits / 8, from_bytes = from.bits / 8;
  each_lane(lanes, [&](unsigned l) {
    S in;
    std::memcpy(&in, s + l * from_bytes, sizeof in);
    const D out = convert<D>(in, i);
    if (to_bytes == sizeof(D)) {
      std::memcpy(d + l * sizeof(D), &out, sizeof out);
      return;
    }
    int64_t wide = 0;
    if constexpr (std::is_integral_v<D>) wide = static_cast<int64_t>(out);  // keeps the sign of a signed type
    else std::memcpy(&wide, &out, sizeof out);
    std::memcpy(d + l * to_bytes, &wide, to_bytes);
  });
}

// The conversions of addresses and counters, which are everywhere
template <class D, class S>
void cvt_plain(Context& c, const Ins& i, uint32_t lanes) {
  D* d = values<D>(c, i.o[0]);
  const S* s = values<S>(c, i.o[1]);
  each_lane(lanes, [=](unsigned l) { d[l] = static_cast<D>(s[l]); });
}

template <class F>
Run by_any(const Decoder& d, Type t, F pick) {
  const bool is_signed = t.kind == Kind::kSigned;
  if (t.packed != 1 || t.kind == Kind::kPredicate) d.unknown();
  if (t.kind == Kind::kBfloat) return pick(Brain());
  if (t.kind == Kind::kFloat) return t.bits == 16 ? pick(Half()) : t.bits == 32 ? pick(float()) : pick(double());
  switch (t.bits) {
    case 8: return is_signed ? pick(int8_t()) : pick(uint8_t());
    case 16: return is_signed ? pick(int16_t()) : pick(uint16_t());
    case 32: return is_signed ? pick(int32_t()) : pick(uint32_t());
    default: return is_signed ? pick(int64_t()) : pick(uint64_t());
  }
}

// cvt.rn.bf16x2.f32 d, a, b: a into the upper half
template <class H>
void cvt_pair(Context& c, const Ins& i, uint32_t lanes) {
  uint32_t* d = values<uint32_t>(c, i.o[0]);
  const float *a = values<float>(c, i.o[1]), *b = values<float>(c, i.o[2]);
  each_lane(lanes, [&](unsigned l) { d[l] = static_cast<uint32_t>(convert<H>(a[l], i).bits) << 16 | convert<H>(b[l], i).bits; });
}

// ---- 8-bit floats, in pairs of 16 bits. detail: [0] e5m2, [1] .relu
constexpr Float8 kFloat8[] = {Float8::e4m3(), Float8::e5m2()};

uint8_t narrow8(const Ins& i, double x) { return kFloat8[i.detail[0]].narrow(i.detail[1] && x < 0 ? 0 : x); }

// d, a, b: a into the upper byte
void cvt_to_pair8(Context& c, const Ins& i, uint32_t lanes) {
  uint16_t* d = values<uint16_t>(c, i.o[0]);
  const float *a = values<float>(c, i.o[1]), *b = values<float>(c, i.o[2]);
  each_lane(lanes, [&](unsigned l) { d[l] = static_cast<uint16_t>(narrow8(i, a[l]) << 8 | narrow8(i, b[l])); });
}
void cvt_half_pair_to_pair8(Context& c, const Ins& i, uint32_t lanes) {
  uint16_t* d = values<uint16_t>(c, i.o[0]);
  const uint32_t* a = values<uint32_t>(c, i.o[1]);
  const auto half = [](uint32_t bits) { return Half::widen({static_cast<uint16_t>(bits)}); };
  each_lane(lanes, [&](unsigned l) { d[l] = static_cast<uint16_t>(narrow8(i, half(a[l] >> 16)) << 8 | narrow8(i, half(a[l]))); });
}
void cvt_from_pair8(Context& c, const Ins& i, uint32_t lanes) {
  uint32_t* d = values<uint32_t>(c, i.o[0]);
  const uint16_t* a = values<uint16_t>(c, i.o[1]);
  const auto half = [&](int bits) {
    const Half h = Half::narrow(kFloat8[i.detail[0]].widen(static_cast<uint8_t>(bits)));
    return static_cast<uint32_t>(i.detail[1] && (h.bits & 0x8000) && (h.bits & 0x7fff) <= 0x7c00 ? 0 : h.bits);
  };
  each_lane(lanes, [&](unsigned l) { d[l] = half(a[l] >> 8) << 16 | half(a[l]); });
}

void make_cvt8(Decoder& d, int e5m2) {
  if (!d.take("rn")) d.unknown();
  const bool saturates = d.take("satfinite");
  d.out.detail[0] = static_cast<uint8_t>(e5m2);
  d.out.detail[1] = d.take("relu");
  const Type other = d.type();
  const bool pair = other.kind == Kind::kFloat && other.bits == 16 && other.packed == 2;
  if (!pair && !other.is(Kind::kFloat, 32)) d.unknown();
  d.done(pair ? 2 : 3);
  if (pair && !saturates) {
    d.out.run = &cvt_from_pair8;
    d.result(d.arg(0), 32);
    return d.source(d.arg(1), kU16);
  }
  if (!saturates) d.unknown();
  d.out.run = pair ? &cvt_half_pair_to_pair8 : &cvt_to_pair8;
  d.result(d.arg(0), 16);
  d.source(d.arg(1), other);
  if (!pair) d.source(d.arg(2), other);
}

// To the nearest tf32, ties away from zero (.rna) or to even: 13 bits fewer
template <bool kAway>
struct ToTf32 {
  static uint32_t apply(uint32_t a) {
    if ((a & 0x7f800000) == 0x7f800000) return a;
    return (a + (kAway ? 0x1000 : 0xfff + (a >> 13 & 1))) & 0xffffe000;
  }
};
void make_tf32(Decoder& d) {
  const int how = d.take_one({"rna", "rn"});
  d.take("satfinite");
  if (how < 0 || !d.take("f32")) d.unknown();
  d.out.run = how == 0 ? &unary<ToTf32<true>, uint32_t> : &unary<ToTf32<false>, uint32_t>;
  d.done(2);
  d.result(d.arg(0), 32);
  d.source(d.arg(1), kF32);
}

void make_cvt(Decoder& d) {
  if (const int e5m2 = d.take_one({"e4m3x2", "e5m2x2"}); e5m2 >= 0) return make_cvt8(d, e5m2);
  if (d.take("tf32")) return make_tf32(d);
  const Type from = d.type(), to = d.type();
  int how = d.take_one({"rn", "rz", "rm", "rp", "rna"});
  if (how < 0) {
    how = d.take_one({"rni", "rzi", "rmi", "rpi"});
    d.out.detail[4] = how >= 0;
  }
  d.out.detail[0] = static_cast<uint8_t>(std::max(how, 0));
  d.out.detail[1] = d.take("ftz");
  d.out.detail[2] = d.take("sat");
  d.out.detail[3] = d.take("relu");
  if (to.packed == 2) {
    if (!from.is(Kind::kFloat, 32)) d.unknown();
    d.out.run = to.kind == Kind::kFloat ? &cvt_pair<Half> : &cvt_pair<Brain>;
    d.done(3);
    d.result(d.arg(0), 32);
    d.source(d.arg(1), from);
    d.source(d.arg(2), from);
    return;
  }
  d.out.run = by_any(d, to, [&]<class D>(D) -> Run { return by_any(d, from, []<class S>(S) -> Run { return &cvt<D, S>; }); });
  d.done(2);
  d.wide_result(d.arg(0), to);
  d.wide_source(d.arg(1), from);
  const bool plain = to.integer() && from.integer() && !d.out.detail[2];
  const Type d_type = to, s_type = from;
  d.out.passes_undefined = plain;
  if (!plain || d.width(0) != to.bits || d.width(1) != from.bits) return;
  d.out.run = by_any(d, d_type, [&]<class D>(D) -> Run {
    return by_any(d, s_type, []<class S>(S) -> Run {
      if constexpr (std::is_integral_v<D> && std::is_integral_v<S>) return &cvt_plain<D, S>;
      else return nullptr;
    });
  });
}

}  // namespace

const Table& convert_operations() {
  static const Table table = {{"cvt", make_cvt}};
  return table;
}

}  // namespace emu::ptx
