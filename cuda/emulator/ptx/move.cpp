// SPDX-License-Identifier: Apache-2.0
// mov, cvta, isspacep, prmt and the counters: PTX ISA, "Data Movement and Conversion Instructions".
#include <chrono>
#include <cstring>

#include "memory.h"
#include "operations.h"

namespace emu::ptx {
namespace {

template <class T>
void move(Context& c, const Ins& i, uint32_t lanes) {
  T* d = values<T>(c, i.o[0]);
  const T* a = values<T>(c, i.o[1]);
  each_lane(lanes, [=](unsigned l) { d[l] = a[l]; });
}

void move_predicate(Context& c, const Ins& i, uint32_t lanes) { set_predicate(c, i.o[0], lanes, predicate(c, i.o[1])); }

// mov.b32 {a, b}, d and mov.b32 d, {a, b}: detail[0] is the number of elements, the first one is the lowest.
void unpack(Context& c, const Ins& i, uint32_t lanes) {
  const unsigned n = i.detail[0];
  const Operand& from = i.o[i.operands - 1];
  const unsigned whole = from.bits / 8, part = whole / n;
  const char* s = values<char>(c, from);
  unsigned at = 0;
  for (unsigned k = 0; k < n; k++) {
    if (!(i.detail[1] >> k & 1)) continue;  // goes nowhere
    char* d = values<char>(c, i.o[at++]);
    each_lane(lanes, [=](unsigned l) { std::memcpy(d + l * part, s + l * whole + k * part, part); });
  }
}
void pack(Context& c, const Ins& i, uint32_t lanes) {
  const unsigned n = i.detail[0], whole = i.o[0].bits / 8, part = whole / n;
  char* d = values<char>(c, i.o[0]);
  unsigned __int128 joined[kWarpSize] = {};
  for (unsigned k = 0; k < n; k++) {
    const char* s = values<char>(c, i.o[1 + k]);
    for (unsigned l = 0; l < kWarpSize; l++) {
      uint64_t v = 0;
      std::memcpy(&v, s + l * part, part);
      joined[l] |= static_cast<unsigned __int128>(v) << (8 * part * k);
    }
  }
  each_lane(lanes, [&](unsigned l) { std::memcpy(d + l * whole, &joined[l], whole); });
}

// detail: [0] of the upper half
template <class T>
void read_clock(Context& c, const Ins& i, uint32_t lanes) {
  T* d = values<T>(c, i.o[0]);
  const auto now = std::chrono::steady_clock::now().time_since_epoch().count() >> (i.detail[0] ? 32 : 0);
  each_lane(lanes, [=](unsigned l) { d[l] = static_cast<T>(now); });
}
void read_grid(Context& c, const Ins& i, uint32_t lanes) {
  uint64_t* d = values<uint64_t>(c, i.o[0]);
  each_lane(lanes, [&](unsigned l) { d[l] = c.machine->worker.job->number; });
}
constexpr std::string_view kClocks[] = {"%clock", "%clock_hi", "%clock64", "%globaltimer", "%globaltimer_lo", "%globaltimer_hi"};

void make_packed(Decoder& d, Type t) {
  const bool out = d.arg(0).form == Arg::kVector;
  const std::vector<Arg>& parts = d.arg(out ? 0 : 1).parts;
  const int width = static_cast<int>(t.bytes() * 8);
  if ((parts.size() != 2 && parts.size() != 4) || (width == 128 && parts.size() != 2) || width / static_cast<int>(parts.size()) < 8)
    d.refuse("mov of a vector of another size");
  const Type part{Kind::kBits, static_cast<uint8_t>(width / static_cast<int>(parts.size())), 1};
  d.out.detail[0] = static_cast<uint8_t>(parts.size());
  d.out.run = out ? &unpack : &pack;
  d.out.passes_some = !out;
  d.done(2);
  if (!out) d.result(d.arg(0), width);
  for (size_t k = 0; k < parts.size(); k++) {
    if (!out) d.source(parts[k], part);
    else if (parts[k].form != Arg::kNothing) d.result(parts[k], part.bits), d.out.detail[1] |= static_cast<uint8_t>(1 << k);
  }
  if (out) d.source(d.arg(1), t);
}

void make_mov(Decoder& d) {
  const bool b128 = d.take("b128");
  const Type t = b128 ? Type{Kind::kBits, 128, 1} : d.type();
  d.out.passes_undefined = true;
  if (t.kind == Kind::kPredicate) {
    d.out.run = &move_predicate;
    d.done(2);
    d.predicate_result(d.arg(0));
    return d.predicate_source(d.arg(1));
  }
  if (d.arg(0).form == Arg::kVector || d.arg(1).form == Arg::kVector) return make_packed(d, t);
  if (d.arg(1).form == Arg::kName) {
    for (std::string_view clock : kClocks) {
      if (clock != d.arg(1).name) continue;
      d.out.run = t.bits == 64 ? &read_clock<uint64_t> : &read_clock<uint32_t>;
      d.out.detail[0] = clock.ends_with("_hi");
      d.done(2);
      return d.result(d.arg(0), t.bits);
    }
    if (d.arg(1).name == "%gridid" && t.bits == 64) {
      d.out.run = &read_grid;
      d.done(2);
      return d.result(d.arg(0), 64);
    }
  }
  const size_t n = t.bytes();
  if (n < 2 || (b128 && d.arg(1).form != Arg::kRegister)) d.unknown();
  d.out.run = b128 ? &move<unsigned __int128> : n == 2 ? &move<uint16_t> : n == 4 ? &move<uint32_t> : &move<uint64_t>;
  same_type(d, t, 1);
}

// ---- addresses. Global memory, constants and parameters have the same addresses in their own space and in the generic one; shared and
// local memory begin at 0 in their own.
template <bool kBack, Space kSpace>
void convert_address(Context& c, const Ins& i, uint32_t lanes) {
  uint64_t* d = values<uint64_t>(c, i.o[0]);
  const uint64_t* a = values<uint64_t>(c, i.o[1]);
  const uint64_t shared = reinterpret_cast<uint64_t>(c.machine->worker.shared);
  each_lane(lanes, [&](unsigned l) {
    const uint64_t start = kSpace == Space::kShared ? shared
                           : kSpace == Space::kLocal ? reinterpret_cast<uint64_t>(c.machine->local_of(*c.warp, l)) : 0;
    d[l] = kBack ? a[l] - start : a[l] + start;
  });
}

void make_cvta(Decoder& d) {
  const bool back = d.take("to");
  const Space space = take_space(d);
  const Type t = d.type();
  if (t.bits != 64 || space == Space::kGeneric) d.unknown();
  d.out.run = space == Space::kShared  ? (back ? &convert_address<true, Space::kShared> : &convert_address<false, Space::kShared>)
              : space == Space::kLocal ? (back ? &convert_address<true, Space::kLocal> : &convert_address<false, Space::kLocal>)
                                       : &move<uint64_t>;
  d.out.passes_undefined = true;
  same_type(d, t, 1);
}

void isspacep(Context& c, const Ins& i, uint32_t lanes) {
  const auto space = static_cast<Space>(i.detail[0]);
  const uint64_t* a = values<uint64_t>(c, i.o[1]);
  uint32_t yes = 0;
  each_lane(lanes, [&](unsigned l) {
    const Space is = space_of_generic(c, a[l]);
    yes |= static_cast<uint32_t>(is == space || (space == Space::kConst && is == Space::kGlobal && in_constants(c, a[l]))) << l;
  });
  set_predicate(c, i.o[0], lanes, yes);
}
void make_isspacep(Decoder& d) {
  d.out.detail[0] = static_cast<uint8_t>(take_space(d));
  d.out.run = &isspacep;
  d.done(2);
  d.predicate_result(d.arg(0));
  d.source(d.arg(1), kU64);
}

// ---- bytes
enum Permutation : uint8_t { kByIndex, kForward4, kBackward4, kReplicate8, kEdgeLeft, kEdgeRight, kReplicate16 };
uint32_t selector_of(uint8_t mode, uint32_t s) {
  static constexpr uint16_t table[][4] = {{0x3210, 0x4321, 0x5432, 0x6543}, {0x5670, 0x6701, 0x7012, 0x0123},
                                          {0x0000, 0x1111, 0x2222, 0x3333}, {0x3210, 0x3211, 0x3222, 0x3333},
                                          {0x0000, 0x1110, 0x2210, 0x3210}, {0x1010, 0x3232, 0x1010, 0x3232}};
  return mode == kByIndex ? s : table[mode - 1][s & 3];
}
void prmt(Context& c, const Ins& i, uint32_t lanes) {
  uint32_t* d = values<uint32_t>(c, i.o[0]);
  const uint32_t *a = values<uint32_t>(c, i.o[1]), *b = values<uint32_t>(c, i.o[2]), *s = values<uint32_t>(c, i.o[3]);
  each_lane(lanes, [&](unsigned l) {
    const uint64_t both = a[l] | static_cast<uint64_t>(b[l]) << 32;
    const uint32_t selector = selector_of(i.detail[0], s[l]);
    uint32_t r = 0;
    for (int k = 0; k < 4; k++) {
      const uint32_t nibble = selector >> (4 * k) & 15;
      uint32_t byte = static_cast<uint32_t>(both >> (8 * (nibble & 7))) & 255;
      if (nibble & 8) byte = byte & 128 ? 255 : 0;  // its sign, spread
      r |= byte << (8 * k);
    }
    d[l] = r;
  });
}
void make_prmt(Decoder& d) {
  if (!d.take("b32")) d.unknown();
  d.out.detail[0] = static_cast<uint8_t>(d.take_one({"f4e", "b4e", "rc8", "ecl", "ecr", "rc16"}) + 1);
  d.out.run = &prmt;
  d.out.passes_some = true;
  same_type(d, kU32, 3);
}

}  // namespace

const Table& move_operations() {
  static const Table table = {{"mov", make_mov}, {"cvta", make_cvta}, {"isspacep", make_isspacep}, {"prmt", make_prmt}};
  return table;
}

}  // namespace emu::ptx
