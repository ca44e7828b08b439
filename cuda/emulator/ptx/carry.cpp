// SPDX-License-Identifier: Apache-2.0
// Arithmetic with carries: PTX ISA, "Extended-Precision Integer Arithmetic Instructions".
#include "integer.h"

namespace emu::ptx {
namespace {

// add and sub, with .cc (sets the carry) and addc, subc (add it in)
template <class T, bool kSubtract, bool kIn, bool kOut>
void with_carry(Context& c, const Ins& i, uint32_t lanes) {
  T* d = values<T>(c, i.o[0]);
  const T *a = values<T>(c, i.o[1]), *b = values<T>(c, i.o[2]);
  uint32_t carry = c.warp->carry;
  each_lane(lanes, [&](unsigned l) {
    // A subtraction adds the complement, and what it leaves is the carry of that sum: 0 after a borrow. PTX ISA does not say so, but the
    // 128-bit division of nvcc reads it by addc.
    const unsigned in = kIn ? carry >> l & 1 : kSubtract;
    const auto sum = static_cast<unsigned __int128>(a[l]) + (kSubtract ? static_cast<T>(~b[l]) : b[l]) + in;
    if (kOut) carry = (carry & ~(1u << l)) | static_cast<uint32_t>(sum >> (8 * sizeof(T)) & 1) << l;
    d[l] = static_cast<T>(sum);
  });
  c.warp->carry = carry;
}

template <bool kSubtract, bool kIn>
void make_carry(Decoder& d, bool out) {
  const Type t = d.type();
  if (t.bits < 32) d.unknown();
  d.out.run = t.bits == 32 ? (out ? &with_carry<uint32_t, kSubtract, kIn, true> : &with_carry<uint32_t, kSubtract, kIn, false>)
                           : (out ? &with_carry<uint64_t, kSubtract, kIn, true> : &with_carry<uint64_t, kSubtract, kIn, false>);
  same_type(d, t, 2);
}

// mad.cc and madc
template <class T, bool kHigh, bool kIn, bool kOut>
void mad_carry(Context& c, const Ins& i, uint32_t lanes) {
  using U = Unsigned<T>;
  T* d = values<T>(c, i.o[0]);
  const T *a = values<T>(c, i.o[1]), *b = values<T>(c, i.o[2]), *e = values<T>(c, i.o[3]);
  uint32_t carry = c.warp->carry;
  each_lane(lanes, [&](unsigned l) {
    const U product = static_cast<U>(kHigh ? MultiplyHigh::apply(a[l], b[l]) : MultiplyLow::apply(a[l], b[l]));
    const auto sum = static_cast<unsigned __int128>(product) + static_cast<U>(e[l]) + (kIn ? carry >> l & 1 : 0);
    if (kOut) carry = (carry & ~(1u << l)) | static_cast<uint32_t>(sum >> (8 * sizeof(T)) & 1) << l;
    d[l] = static_cast<T>(sum);
  });
  c.warp->carry = carry;
}

template <bool kIn, bool kOut>
void make_mad_carry(Decoder& d) {
  const bool high = d.take_one({"lo", "hi"}) == 1;
  const Type t = d.type();
  if (t.bits < 32) d.unknown();
  d.out.run = by_integer(d, t, [&]<class T>(T) -> Run { return high ? &mad_carry<T, true, kIn, kOut> : &mad_carry<T, false, kIn, kOut>; });
  same_type(d, t, 3);
}

}  // namespace

void make_add_cc(Decoder& d) { make_carry<false, false>(d, true); }
void make_sub_cc(Decoder& d) { make_carry<true, false>(d, true); }
void make_mad_cc(Decoder& d) { make_mad_carry<false, true>(d); }

const Table& carry_operations() {
  static const Table table = {
      {"addc", [](Decoder& d) { make_carry<false, true>(d, d.take("cc")); }},
      {"subc", [](Decoder& d) { make_carry<true, true>(d, d.take("cc")); }},
      {"madc", [](Decoder& d) { d.take("cc") ? make_mad_carry<true, true>(d) : make_mad_carry<true, false>(d); }},
  };
  return table;
}

}  // namespace emu::ptx
