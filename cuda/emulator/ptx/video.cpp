// SPDX-License-Identifier: Apache-2.0
// The instructions on two halves or four bytes of a register: PTX ISA, "SIMD Video Instructions". Without their masks and selectors.
#include <algorithm>

#include "operations.h"

namespace emu::ptx {
namespace {

enum VideoOp : uint8_t { kAdd, kSubtract, kAverage, kDifference, kMin, kMax };

int one(uint8_t op, int a, int b) {
  switch (op) {
    case kAdd: return a + b;
    case kSubtract: return a - b;
    case kAverage: return (a + b + 1) >> 1;
    case kDifference: return std::abs(a - b);
    case kMin: return std::min(a, b);
    default: return std::max(a, b);
  }
}

// detail: [0] the operation, [1] bits of a part, [2] a is signed, [3] b is, [4] the result is, [5] 1 .sat, 2 .add
void video(Context& c, const Ins& i, uint32_t lanes) {
  uint32_t* d = values<uint32_t>(c, i.o[0]);
  const uint32_t *a = values<uint32_t>(c, i.o[1]), *b = values<uint32_t>(c, i.o[2]), *e = values<uint32_t>(c, i.o[3]);
  const int bits = i.detail[1];
  const auto part = [&](uint32_t v, int at, bool is_signed) {
    const auto up = static_cast<int32_t>(v << (32 - at - bits));
    return is_signed ? up >> (32 - bits) : static_cast<int32_t>(static_cast<uint32_t>(up) >> (32 - bits));
  };
  const int least = i.detail[4] ? -(1 << (bits - 1)) : 0, most = i.detail[4] ? (1 << (bits - 1)) - 1 : (1 << bits) - 1;
  each_lane(lanes, [&](unsigned l) {
    uint32_t r = i.detail[5] == 2 ? e[l] : 0;
    for (int at = 0; at < 32; at += bits) {
      int v = one(i.detail[0], part(a[l], at, i.detail[2]), part(b[l], at, i.detail[3]));
      if (i.detail[5] == 1) v = std::clamp(v, least, most);
      if (i.detail[5] == 2) r += static_cast<uint32_t>(v);
      else r |= (static_cast<uint32_t>(v) & ((1u << bits) - 1)) << at;
    }
    d[l] = r;
  });
}

template <VideoOp kOp, int kBits>
void make(Decoder& d) {
  d.out.detail[5] = static_cast<uint8_t>(d.take_one({"sat", "add"}) + 1);
  const Type b = d.type(), a = d.type(), r = d.type();
  for (const Type& t : {a, b, r})
    if (t.bits != 32 || (t.kind != Kind::kSigned && t.kind != Kind::kUnsigned)) d.unknown();
  d.out.detail[0] = kOp;
  d.out.detail[1] = kBits;
  d.out.detail[2] = a.kind == Kind::kSigned;
  d.out.detail[3] = b.kind == Kind::kSigned;
  d.out.detail[4] = r.kind == Kind::kSigned;
  d.out.run = &video;
  same_type(d, kU32, 3);
}

}  // namespace

const Table& video_operations() {
  static const Table table = {
      {"vadd2", make<kAdd, 16>},          {"vadd4", make<kAdd, 8>},          {"vsub2", make<kSubtract, 16>},
      {"vsub4", make<kSubtract, 8>},      {"vavrg2", make<kAverage, 16>},    {"vavrg4", make<kAverage, 8>},
      {"vabsdiff2", make<kDifference, 16>}, {"vabsdiff4", make<kDifference, 8>}, {"vmin2", make<kMin, 16>},
      {"vmin4", make<kMin, 8>},           {"vmax2", make<kMax, 16>},         {"vmax4", make<kMax, 8>},
  };
  return table;
}

}  // namespace emu::ptx
