// SPDX-License-Identifier: Apache-2.0
// mma of integers, tf32, f64 and 8-bit floats: PTX ISA, "Warp-level matrix multiply-accumulate instruction".
#include <cmath>
#include <cstring>
#include <limits>

#include "float8.h"
#include "half.h"
#include "matrix.h"
#include "operations.h"

namespace emu::ptx {

Element take_element(Decoder& d) {
  static constexpr std::pair<std::string_view, Element> names[] = {
      {"f16", Element::kHalf}, {"bf16", Element::kBrain}, {"tf32", Element::kTf32}, {"f32", Element::kF32},  {"f64", Element::kF64},
      {"s8", Element::kS8},    {"u8", Element::kU8},      {"s32", Element::kS32},   {"e4m3", Element::kE4m3}, {"e5m2", Element::kE5m2}};
  const std::string_view name = d.take_last();
  for (const auto& [text, e] : names)
    if (text == name) return e;
  d.unknown();
}

unsigned bits_of(Element e) {
  switch (e) {
    case Element::kHalf: case Element::kBrain: return 16;
    case Element::kS8: case Element::kU8: case Element::kE4m3: case Element::kE5m2: return 8;
    case Element::kF64: return 64;
    default: return 32;
  }
}

double decode(Element e, uint64_t bits) {
  double d;
  float f;
  auto low = static_cast<uint32_t>(bits);
  switch (e) {
    case Element::kHalf: return Half::widen({static_cast<uint16_t>(bits)});
    case Element::kBrain: return Brain::widen({static_cast<uint16_t>(bits)});
    case Element::kS8: return static_cast<int8_t>(bits);
    case Element::kU8: return static_cast<uint8_t>(bits);
    case Element::kS32: return static_cast<int32_t>(bits);
    case Element::kE4m3: return Float8::e4m3().widen(static_cast<uint8_t>(bits));
    case Element::kE5m2: return Float8::e5m2().widen(static_cast<uint8_t>(bits));
    case Element::kF64: std::memcpy(&d, &bits, 8); return d;
    case Element::kTf32: low &= 0xffffe000; [[fallthrough]];  // the tensor cores do not look at the rest
    default: std::memcpy(&f, &low, 4); return f;
  }
}

uint64_t encode(Element e, double value) {
  uint64_t bits = 0;
  const auto f = static_cast<float>(value);
  switch (e) {
    case Element::kHalf: return Half::narrow(value).bits;
    case Element::kS32: return static_cast<uint32_t>(static_cast<int64_t>(value));
    case Element::kF64: std::memcpy(&bits, &value, 8); return bits;
    default: std::memcpy(&bits, &f, 4); return bits;
  }
}

double value_of(const Context& c, const Operand* registers, Element e, unsigned lane, unsigned n) {
  const unsigned packed = per_register(e), bits = bits_of(e);
  if (bits == 64) return decode(e, values<uint64_t>(c, registers[n])[lane]);
  return decode(e, values<uint32_t>(c, registers[n / packed])[lane] >> (n % packed * bits));
}

void set_value(const Context& c, const Operand* registers, Element e, unsigned lane, unsigned n, double value) {
  const unsigned packed = per_register(e), bits = bits_of(e);
  if (bits == 64) {
    values<uint64_t>(c, registers[n])[lane] = encode(e, value);
  } else if (bits == 32) {
    values<uint32_t>(c, registers[n])[lane] = static_cast<uint32_t>(encode(e, value));
  } else {
    uint32_t& r = values<uint32_t>(c, registers[n / packed])[lane];
    const unsigned at = n % packed * bits;
    r = (r & ~(((1u << bits) - 1) << at)) | static_cast<uint32_t>(encode(e, value)) << at;
  }
}

SumOrder order_of(uint64_t choice, int n) {
  SumOrder o{};
  for (int k = 0; k < n; k++) o.k[k] = choice == 1 ? n - 1 - k : choice == 2 ? (k * 2) % n + (k * 2 >= n) : k;
  return o;
}

void Product::add_up() {
  const uint64_t choice = options().mma;
  const SumOrder order = order_of(choice, k);
  for (int x = 0; x < m; x++)
    for (int y = 0; y < n; y++) {
      double& s = c[x * n + y];
      const auto term = [&](int at) { return std::pair(a[x * k + order.k[at]], b[order.k[at] * n + y]); };
      if (sum == Element::kS32) {  // exact in f64
        for (int at = 0; at < k; at++) s += term(at).first * term(at).second;
        if (saturate) s = std::min(std::max(s, -2147483648.0), 2147483647.0);
      } else if (sum == Element::kF64) {
        for (int at = 0; at < k; at++) s = std::fma(term(at).first, term(at).second, s);
      } else if (choice == 3) {  // exact products, one sum in f64, rounded once
        for (int at = 0; at < k; at++) s += term(at).first * term(at).second;
      } else {
        auto f = static_cast<float>(s);
        for (int at = 0; at < k; at++) f = std::fmaf(static_cast<float>(term(at).first), static_cast<float>(term(at).second), f);
        s = f;
      }
    }
}

unsigned take_registers(Decoder& d, const Arg& a, Element e, bool results) {
  const std::vector<Arg> parts = a.form == Arg::kVector ? a.parts : std::vector<Arg>{a};
  const auto bits = static_cast<uint8_t>(register_bits(e));
  for (const Arg& part : parts) {
    if (results) d.result(part, bits);
    else d.source(part, Type{e == Element::kF64 ? Kind::kFloat : Kind::kBits, bits, 1});
  }
  return static_cast<unsigned>(parts.size());
}

namespace {

// detail: [0] to [3] the types of d, a, b, c, [4] .satfinite, [5] rows; immediate: the depth
void multiply(Meeting& meeting) {
  const Part& p = meeting.part[0];
  const Ins& i = *p.i;
  const auto type = [&](int n) { return static_cast<Element>(i.detail[n]); };
  Product t{i.detail[5], 8, static_cast<int>(i.immediate), type(0), i.detail[4] != 0, {}, {}, {}};
  const unsigned packed = per_register(type(1)), na = static_cast<unsigned>(t.m * t.k) / 32, nb = static_cast<unsigned>(8 * t.k) / 32,
                 nc = static_cast<unsigned>(t.m * 8) / 32;
  const Operand *od = i.o, *oa = od + nc, *ob = oa + na / packed, *oc = ob + nb / packed;
  const unsigned tall = t.m == 16;  // then every second register is 8 rows further down
  for (unsigned l = 0; l < kWarpSize; l++) {
    const unsigned g = l / 4, q = l % 4;
    for (unsigned v = 0; v < na; v++) {
      const unsigned r = v / packed, row = g + (tall ? 8 * (r & 1) : 0), column = (q + 4 * (r >> tall)) * packed + v % packed;
      t.a[row * static_cast<unsigned>(t.k) + column] = value_of(p.c, oa, type(1), l, v);
    }
    for (unsigned v = 0; v < nb; v++)
      t.b[((q + 4 * (v / packed)) * packed + v % packed) * 8 + g] = value_of(p.c, ob, type(2), l, v);
    for (unsigned v = 0; v < nc; v++) t.c[(g + 8 * (v >> 1)) * 8 + 2 * q + (v & 1)] = value_of(p.c, oc, type(3), l, v);
  }
  t.add_up();
  for (unsigned l = 0; l < kWarpSize; l++)
    for (unsigned v = 0; v < nc; v++) set_value(p.c, od, type(0), l, v, t.c[(l / 4 + 8 * (v >> 1)) * 8 + 2 * (l % 4) + (v & 1)]);
  meeting.machine.worker.stats.mma++;
}

struct Shape {
  std::string_view name;
  int m, k;
};
constexpr Shape kShapes[] = {{"m8n8k4", 8, 4},    {"m8n8k16", 8, 16},   {"m16n8k4", 16, 4},  {"m16n8k8", 16, 8},
                             {"m16n8k16", 16, 16}, {"m16n8k32", 16, 32}};

// Which shapes there are of a type
bool exists(const Shape& s, Element e) {
  switch (e) {
    case Element::kF64: return s.k <= 16 && (s.m == 16 || s.k == 4);
    case Element::kTf32: return s.m == 16 && s.k <= 8;
    case Element::kS8: case Element::kU8: return s.k >= 16;
    case Element::kE4m3: case Element::kE5m2: return s.m == 16 && s.k >= 16;
    default: return false;
  }
}

}  // namespace

void make_typed_mma(Decoder& d, Element dt, Element at, Element bt, Element ct) {
  const bool integers = at == Element::kS8 || at == Element::kU8, bytes = at == Element::kE4m3 || at == Element::kE5m2;
  const bool alike = at == bt || (integers && (bt == Element::kS8 || bt == Element::kU8)) ||
      (bytes && (bt == Element::kE4m3 || bt == Element::kE5m2));
  const Element sum = integers ? Element::kS32 : at == Element::kF64 ? Element::kF64 : Element::kF32;
  const Shape* shape = nullptr;
  for (const Shape& s : kShapes)
    if (d.take(s.name)) shape = &s;
  if (!shape || !alike || dt != sum || ct != sum || !exists(*shape, at)) d.unknown();
  d.out.detail[4] = integers && d.take("satfinite");
  const Element types[] = {dt, at, bt, ct};
  for (int n = 0; n < 4; n++) d.out.detail[n] = static_cast<uint8_t>(types[n]);
  d.out.detail[5] = static_cast<uint8_t>(shape->m);
  d.out.immediate = shape->k;
  d.out.flow = Flow::kMeet;
  d.out.meet = &multiply;
  d.out.aligned = true;
  d.done(4);
  const auto packed = static_cast<int>(per_register(at));
  const int counts[] = {shape->m / 4, shape->m * shape->k / 32 / packed, shape->k / 4 / packed, shape->m / 4};
  for (int n = 0; n < 4; n++)
    if (take_registers(d, d.arg(static_cast<size_t>(n)), types[n], n == 0) != static_cast<unsigned>(counts[n]))
      d.refuse("mma with another number of registers");
}

}  // namespace emu::ptx
