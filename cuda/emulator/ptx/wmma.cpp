// SPDX-License-Identifier: Apache-2.0
// wmma.load, wmma.store and wmma.mma: PTX ISA, "Warp-level matrix load, store and multiply-and-accumulate". Which lane holds which value of
// a fragment is left open there. Here the values lie row by row in lane 0, then lane 1 and so on; a fragment with more room than values
// holds them several times.
#include <cstring>

#include "matrix.h"
#include "memory.h"
#include "operations.h"

namespace emu::ptx {
namespace {

struct Shape {
  std::string_view name;
  uint8_t m, n, k;
};
constexpr Shape kShapes[] = {{"m16n16k16", 16, 16, 16}, {"m32n8k16", 32, 8, 16}, {"m8n32k16", 8, 32, 16}, {"m16n16k8", 16, 16, 8},
                             {"m8n8k4", 8, 8, 4}};

const Shape& take_shape(Decoder& d) {
  for (const Shape& s : kShapes)
    if (d.take(s.name)) return s;
  d.unknown();
}

// Which shapes there are of a type of a and b
bool exists(const Shape& s, Element e) {
  return e == Element::kF64 ? s.k == 4 : e == Element::kTf32 ? s.k == 8 : s.k == 16 && e != Element::kE4m3 && e != Element::kE5m2;
}

// Values of a fragment in one lane
unsigned values_of(Decoder& d, unsigned registers, Element e, unsigned count) {
  const unsigned n = registers * per_register(e);
  if (registers == 0 || registers > 8 || n * kWarpSize % count != 0) d.refuse("a fragment with another number of registers");
  return n;
}

// detail: [0] the state space, [1] the type, [2] registers, [3] rows, [4] columns, [5] 1 stored by columns, 2 with a stride
// Operands: the registers and the address (of a store the other way round), then the stride.
template <bool kStore>
void move_fragment(Meeting& meeting) {
  const Part& p = meeting.part[0];
  const Ins& i = *p.i;
  const auto e = static_cast<Element>(i.detail[1]);
  const unsigned registers = i.detail[2], rows = i.detail[3], columns = i.detail[4], bytes = bits_of(e) / 8;
  const bool by_columns = i.detail[5] & 1;
  const Operand* fragment = i.o + kStore;
  uint64_t address[kWarpSize];
  addresses_of(p.c, i, i.o[kStore ? 0 : registers], address);
  const uint32_t* stride = i.detail[5] & 2 ? values<uint32_t>(p.c, i.o[registers + 1]) : nullptr;
  const unsigned each = registers * per_register(e);
  for (unsigned l = 0; l < kWarpSize; l++) {
    const uint64_t step = stride ? stride[l] : by_columns ? rows : columns;
    for (unsigned v = 0; v < each; v++) {
      const unsigned n = (l * each + v) % (rows * columns), row = n / columns, column = n % columns;
      const uint64_t at = address[l] + (by_columns ? column * step + row : row * step + column) * bytes;
      char* memory = reach(p.c, i, l, static_cast<Space>(i.detail[0]), at, bytes, kStore ? Access::kWrite : Access::kRead);
      const unsigned packed = per_register(e), shift = v % packed * bytes * 8;
      if (bytes == 8) {
        uint64_t& r = values<uint64_t>(p.c, fragment[v])[l];
        kStore ? std::memcpy(memory, &r, 8) : std::memcpy(&r, memory, 8);
        continue;
      }
      uint32_t& r = values<uint32_t>(p.c, fragment[v / packed])[l];
      uint32_t part = r >> shift;
      if (kStore) {
        std::memcpy(memory, &part, bytes);
      } else {
        const uint32_t mask = bytes == 4 ? ~0u : (1u << 8 * bytes) - 1;
        std::memcpy(&part, memory, bytes);
        r = (r & ~(mask << shift)) | (part & mask) << shift;
      }
    }
  }
}

void make_move(Decoder& d, bool store) {
  const int which = store ? (d.take("d") ? 2 : -1) : d.take_one({"a", "b", "c"});
  const int order = d.take_one({"row", "col"});
  const Shape& s = take_shape(d);
  const Space space = take_space(d);
  const Element e = take_element(d);
  if (which < 0 || order < 0 || (space != Space::kGeneric && space != Space::kGlobal && space != Space::kShared)) d.unknown();
  const bool sums = e == Element::kF32 || e == Element::kS32;
  if (which < 2 ? sums || !exists(s, e) : e != Element::kHalf && e != Element::kF64 && !sums) d.unknown();
  d.out.detail[0] = static_cast<uint8_t>(space);
  d.out.detail[1] = static_cast<uint8_t>(e);
  d.out.detail[3] = which == 1 ? s.k : s.m;
  d.out.detail[4] = which == 0 ? s.k : s.n;
  d.out.detail[5] = static_cast<uint8_t>(order | (d.args() == 3 ? 2 : 0));
  d.out.meet = store ? &move_fragment<true> : &move_fragment<false>;
  d.done(d.args() == 3 ? 3 : 2);
  if (store) d.address(d.arg(0));
  const unsigned registers = take_registers(d, d.arg(store), e, !store);
  d.out.detail[2] = static_cast<uint8_t>(registers);
  values_of(d, registers, e, d.out.detail[3] * d.out.detail[4]);
  if (!store) d.address(d.arg(1));
  if (d.args() == 3) d.source(d.arg(2), kU32);
}

// detail: [0] to [3] the types of d, a, b, c, [4] .satfinite, [5] the shape; immediate: registers of d, a, b, c in a byte each
void multiply(Meeting& meeting) {
  const Part& p = meeting.part[0];
  const Ins& i = *p.i;
  const Shape& s = kShapes[i.detail[5]];
  const auto type = [&](int n) { return static_cast<Element>(i.detail[n]); };
  const auto registers = [&](int n) { return static_cast<unsigned>(i.immediate >> 8 * n & 255); };
  Product t{s.m, s.n, s.k, type(0), i.detail[4] != 0, {}, {}, {}};
  const Operand* o = i.o + registers(0);
  const auto read = [&](int n, double* to, unsigned count) {
    const unsigned each = registers(n) * per_register(type(n));
    for (unsigned v = 0; v < count; v++) to[v] = value_of(p.c, o, type(n), v / each, v % each);
    o += registers(n);
  };
  read(1, t.a, s.m * s.k);
  read(2, t.b, s.k * s.n);
  read(3, t.c, s.m * s.n);
  t.add_up();
  const unsigned each = registers(0) * per_register(type(0));
  for (unsigned v = 0; v < kWarpSize * each; v++) set_value(p.c, i.o, type(0), v / each, v % each, t.c[v % (s.m * s.n)]);
  meeting.machine.worker.stats.mma++;
}

void make_product(Decoder& d) {
  if (d.take_one({"row", "col"}) < 0 || d.take_one({"row", "col"}) < 0) d.unknown();
  const Shape& s = take_shape(d);
  d.out.detail[4] = d.take("satfinite");
  d.take("rn");
  Element c = take_element(d), b = Element::kHalf, a = b;
  if (d.modifiers() == 3) b = take_element(d), a = take_element(d);
  const Element r = take_element(d);
  const bool integers = a == Element::kS8 || a == Element::kU8;
  const auto is_sum = [&](Element e) {
    return integers ? e == Element::kS32 : a == Element::kF64 ? e == Element::kF64 : e == Element::kF32 ||
        (a == Element::kHalf && e == Element::kHalf);
  };
  if (!exists(s, a) || a != b || !is_sum(r) || !is_sum(c)) d.unknown();
  const Element types[] = {r, a, b, c};
  const unsigned counts[] = {1u * s.m * s.n, 1u * s.m * s.k, 1u * s.k * s.n, 1u * s.m * s.n};
  d.out.detail[5] = static_cast<uint8_t>(&s - kShapes);
  d.out.meet = &multiply;
  d.done(4);
  for (int n = 0; n < 4; n++) {
    const unsigned registers = take_registers(d, d.arg(static_cast<size_t>(n)), types[n], n == 0);
    values_of(d, registers, types[n], counts[n]);
    d.out.detail[n] = static_cast<uint8_t>(types[n]);
    d.out.immediate |= static_cast<int64_t>(registers) << 8 * n;
  }
}

}  // namespace

void make_wmma(Decoder& d) {
  const int what = d.take_one({"load", "store", "mma"});
  if (what < 0 || !d.take("sync") || !d.take("aligned")) d.unknown();
  d.out.flow = Flow::kMeet;
  d.out.aligned = true;
  if (what == 2) make_product(d);
  else make_move(d, what == 1);
}

}  // namespace emu::ptx
