// SPDX-License-Identifier: Apache-2.0
// What the files of operations share: instructions that do the same for every lane, chosen by type.
#pragma once
#include "decoder.h"

namespace emu::ptx {

template <class Op, class T>
void unary(Context& c, const Ins& i, uint32_t lanes) {
  T* d = values<T>(c, i.o[0]);
  const T* a = values<T>(c, i.o[1]);
  each_lane(lanes, [=](unsigned l) { d[l] = Op::apply(a[l]); });
}
template <class Op, class T>
void binary(Context& c, const Ins& i, uint32_t lanes) {
  T* d = values<T>(c, i.o[0]);
  const T *a = values<T>(c, i.o[1]), *b = values<T>(c, i.o[2]);
  each_lane(lanes, [=](unsigned l) { d[l] = Op::apply(a[l], b[l]); });
}
template <class Op, class T>
void ternary(Context& c, const Ins& i, uint32_t lanes) {
  T* d = values<T>(c, i.o[0]);
  const T *a = values<T>(c, i.o[1]), *b = values<T>(c, i.o[2]), *e = values<T>(c, i.o[3]);
  each_lane(lanes, [=](unsigned l) { d[l] = Op::apply(a[l], b[l], e[l]); });
}

// d = f(a, b, c) with types of their own: D, then those of the sources
template <class Op, class D, class... S, size_t... k>
inline void mapped(Context& c, const Ins& i, uint32_t lanes, std::index_sequence<k...>) {
  D* d = values<D>(c, i.o[0]);
  each_lane(lanes, [&](unsigned l) { d[l] = static_cast<D>(Op::apply(values<S>(c, i.o[k + 1])[l]...)); });
}
template <class Op, class D, class... S>
void map(Context& c, const Ins& i, uint32_t lanes) {
  mapped<Op, D, S...>(c, i, lanes, std::index_sequence_for<S...>());
}

// pick(T()) for the integer type T of 16, 32 or 64 bits
template <class F>
Run by_integer(const Decoder& d, Type t, F pick) {
  if (!t.integer() || t.packed != 1) d.unknown();
  const bool is_signed = t.kind == Kind::kSigned;
  switch (t.bits) {
    case 16: return is_signed ? pick(int16_t()) : pick(uint16_t());
    case 32: return is_signed ? pick(int32_t()) : pick(uint32_t());
    case 64: return is_signed ? pick(int64_t()) : pick(uint64_t());
    default: d.unknown();
  }
}
// The same, always unsigned: for what does not depend on the sign
template <class F>
Run by_bits(const Decoder& d, Type t, F pick) {
  return by_integer(d, Type{Kind::kUnsigned, t.bits, t.packed}, pick);
}

// d = op(a, b, ...) of one type
inline void same_type(Decoder& d, Type t, size_t sources) {
  d.done(sources + 1);
  d.result(d.arg(0), static_cast<int>(t.bytes() * 8));
  for (size_t k = 1; k <= sources; k++) d.source(d.arg(k), t);
}

constexpr Type kU16{Kind::kUnsigned, 16, 1}, kU32{Kind::kUnsigned, 32, 1}, kU64{Kind::kUnsigned, 64, 1}, kF32{Kind::kFloat, 32, 1};

// Computes under a rounding mode of fenv.h; what it reads and writes is memory, so nothing moves out of it.
class Rounding {
 public:
  explicit Rounding(int mode);
  ~Rounding();
  Rounding(const Rounding&) = delete;
  Rounding& operator=(const Rounding&) = delete;

 private:
  int before_;
};

// FE_TONEAREST for .rn and so on, or -1; takes the modifier.
int take_rounding(Decoder& d);

}  // namespace emu::ptx
