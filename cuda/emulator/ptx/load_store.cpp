// SPDX-License-Identifier: Apache-2.0
// ld, st, prefetch and cp.async: PTX ISA, "Data Movement and Conversion Instructions".
#include <cstring>

#include "memory.h"
#include "operations.h"

namespace emu::ptx {
namespace {

// detail: [0] the state space, [1] elements of the vector, [2] which of them have a register
// In the check build, local memory that was never written may be copied, as registers may: nvcc -G copies objects without members.
template <class T, class R>
void load(Context& c, const Ins& i, uint32_t lanes) {
  const unsigned n = i.detail[1];
  const auto space = static_cast<Space>(i.detail[0]);
  uint64_t address[kWarpSize];
  addresses_of(c, i, i.o[i.results], address);
  R* d[8];
  for (unsigned k = 0, at = 0; k < n; k++) d[k] = i.detail[2] >> k & 1 ? values<R>(c, i.o[at++]) : nullptr;
  each_lane(lanes, [&](unsigned l) {
    const bool local = kCheck && is_local(c, space, address[l]);
    Space found = space;
    const char* p = local ? locate(c, i, l, found, address[l], n * sizeof(T), Access::kRead)
                          : reach(c, i, l, space, address[l], n * sizeof(T), Access::kRead);
    for (unsigned k = 0; k < n; k++) {
      T v;
      std::memcpy(&v, p + k * sizeof(T), sizeof v);
      if (d[k]) d[k][l] = static_cast<R>(v);
    }
    if (local && !was_written(c, p, n * sizeof(T)))
      for (unsigned k = 0; k < i.results; k++) c.frame->defined[i.o[k].number] &= ~(1u << l);
  });
}

template <class T, class R>
void store(Context& c, const Ins& i, uint32_t lanes) {
  const unsigned n = i.detail[1];
  const auto space = static_cast<Space>(i.detail[0]);
  uint64_t address[kWarpSize];
  addresses_of(c, i, i.o[0], address);
  const R* s[8];
  for (unsigned k = 0; k < n; k++) s[k] = values<R>(c, i.o[1 + k]);
  uint32_t visible = 0;  // of the lanes, whose stores others can see
  each_lane(lanes, [&](unsigned l) {
    char* p = reach(c, i, l, space, address[l], n * sizeof(T), Access::kWrite);
    for (unsigned k = 0; k < n; k++) {
      const T v = static_cast<T>(s[k][l]);
      std::memcpy(p + k * sizeof(T), &v, sizeof v);
    }
    if constexpr (kCheck) {
      const bool local = is_local(c, space, address[l]);
      visible |= static_cast<uint32_t>(!local) << l;
      for (unsigned k = 0; k < n; k++) {
        const uint32_t number = i.o[1 + k].number;
        if (number == kNoRegister || (c.frame->defined[number] >> l & 1)) continue;
        if (!local) undefined_register(c, i, l, number);
        forget_written(c, p + k * sizeof(T), sizeof(T));
      }
    }
  });
  c.warp->fenced &= ~visible;
}

// By the type in memory and the width of the registers
template <template <class, class> class Op>
Run by_widths(const Decoder& d, Type t, int bits) {
  const auto pick = [&]<class T>(T) -> Run {
    if constexpr (sizeof(T) <= 2)
      if (bits == 16) return Op<T, uint16_t>::run;
    if constexpr (sizeof(T) <= 4)
      if (bits == 32) return Op<T, uint32_t>::run;
    if (bits == 64) return Op<T, uint64_t>::run;
    d.refuse("registers of " + std::to_string(bits) + " bits for memory of another width");
  };
  const bool is_signed = t.kind == Kind::kSigned;
  switch (t.bytes()) {
    case 1: return is_signed ? pick(int8_t()) : pick(uint8_t());
    case 2: return is_signed ? pick(int16_t()) : pick(uint16_t());
    case 4: return is_signed ? pick(int32_t()) : pick(uint32_t());
    default: return pick(uint64_t());
  }
}
template <class T, class R>
struct Load {
  static constexpr Run run = &load<T, R>;
};
template <class T, class R>
struct Store {
  static constexpr Run run = &store<T, R>;
};

struct Shape {
  Type type;
  unsigned elements;
};
Shape take_shape(Decoder& d) {
  const int vector = d.take_one({"v2", "v4", "v8"});
  const Type t = d.type();
  if (t.kind == Kind::kPredicate) d.unknown();
  const unsigned n = vector < 0 ? 1 : 2u << vector;
  if (n * t.bytes() > 32) d.unknown();
  return {t, n};
}

std::vector<Arg> elements(const Decoder& d, const Arg& a, unsigned n) {
  std::vector<Arg> parts = a.form == Arg::kVector ? a.parts : std::vector<Arg>{a};
  if (parts.size() != n) d.refuse("a vector of another size");
  return parts;
}

// A variable's address says where it is when the opcode says .param: parameters of functions are in the frame.
void set_space(Decoder& d, Space named, Space of_variable) {
  d.out.detail[0] = static_cast<uint8_t>(named == Space::kParam && of_variable == Space::kLocal ? Space::kLocal
                                         : named == Space::kGeneric && of_variable == Space::kParam ? Space::kGeneric : named);
}

void make_ld(Decoder& d) {
  const bool policy = d.take("L2::cache_hint");
  const Space space = take_space(d);
  const Shape shape = take_shape(d);
  take_hints(d);
  d.done(2 + policy);
  int bits = 0;
  unsigned mask = 0, k = 0;
  for (const Arg& a : elements(d, d.arg(0), shape.elements)) {
    if (a.form != Arg::kNothing) {
      d.wide_result(a, shape.type);
      mask |= 1u << k;
      bits = d.width(static_cast<size_t>(d.out.results - 1));
    }
    k++;
  }
  set_space(d, space, d.address(d.arg(1)));
  d.out.detail[1] = static_cast<uint8_t>(shape.elements);
  d.out.detail[2] = static_cast<uint8_t>(mask);
  d.out.run = by_widths<Load>(d, shape.type, bits);
}

void make_st(Decoder& d) {
  const bool policy = d.take("L2::cache_hint");
  const Space space = take_space(d);
  const Shape shape = take_shape(d);
  take_hints(d);
  d.done(2 + policy);
  if (space == Space::kConst) d.unknown();
  set_space(d, space, d.address(d.arg(0)));
  for (const Arg& a : elements(d, d.arg(1), shape.elements)) d.wide_source(a, shape.type);
  // A vector may mix constants with wider registers: then the constants have the registers' width.
  int bits = 0;
  for (unsigned k = 0; k < shape.elements; k++) bits = std::max(bits, d.width(1 + k));
  d.widen_constants(1, shape.elements, bits);
  if (bits == 8) bits = 16, d.widen_constants(1, shape.elements, 16);
  d.out.checks_sources = true;
  d.out.detail[1] = static_cast<uint8_t>(shape.elements);
  d.out.run = by_widths<Store>(d, shape.type, bits);
}

void nothing(Context&, const Ins&, uint32_t) {}

// A hint without effect; its operands are not even looked at.
void make_hint(Decoder& d) {
  take_space(d);
  take_hints(d);
  d.take_one({"L2", "L1", "tensormap"});
  d.out.run = &nothing;
  d.done(d.args());
}

void zero_policy(Context& c, const Ins& i, uint32_t lanes) {
  uint64_t* d = values<uint64_t>(c, i.o[0]);
  each_lane(lanes, [=](unsigned l) { d[l] = 0; });
}
void make_policy(Decoder& d) {
  d.take_one({"fractional", "range"});
  d.take("global");
  take_hints(d);
  if (d.type().bits != 64) d.unknown();
  d.out.run = &zero_policy;
  d.done(d.args());
  d.result(d.arg(0), 64);
}

// ---- cp.async: the core does it, at the time that its options say
void copy(Context& c, const Ins& i, uint32_t lanes) {
  uint64_t to[kWarpSize], from[kWarpSize];
  Ins source = i;
  source.immediate = static_cast<int32_t>(i.target);
  addresses_of(c, i, i.o[0], to);
  addresses_of(c, source, i.o[1], from);
  const uint32_t* valid = i.operands > 2 ? values<uint32_t>(c, i.o[2]) : nullptr;
  const uint32_t bytes = i.detail[0];
  each_lane(lanes, [&](unsigned l) {
    const uint32_t n = valid ? valid[l] : bytes;
    if (n > bytes) give_up_at(c, i, l, "cp.async of %u bytes from %u", bytes, n);
    Space shared = Space::kShared, global = Space::kGlobal;
    char* target = locate(c, i, l, shared, to[l], bytes, Access::kWrite);
    if (n && from[l] % bytes) give_up_at(c, i, l, "misaligned cp.async: address %#lx is no multiple of %u", from[l], bytes);
    for (uint32_t k = 0; k < n; k += n % 4 ? 1 : 4) locate(c, i, l, global, from[l] + k, n % 4 ? 1 : 4, Access::kRead);
    c.machine->speak_for(*c.warp, l);
    cp_async(target, reinterpret_cast<const void*>(from[l]), bytes, n, site_of(c, i));
  });
}
void commit(Context& c, const Ins&, uint32_t lanes) {
  each_lane(lanes, [&](unsigned l) { c.machine->speak_for(*c.warp, l), cp_async_commit(); });
}
void wait(Context& c, const Ins& i, uint32_t lanes) {
  each_lane(lanes, [&](unsigned l) { c.machine->speak_for(*c.warp, l), cp_async_wait(static_cast<int>(i.immediate)); });
}
void wait_all(Context& c, const Ins& i, uint32_t lanes) {
  commit(c, i, lanes);
  wait(c, i, lanes);
}

void make_cp(Decoder& d) {
  if (!d.take("async")) d.unknown();
  if (d.take("bulk")) return make_bulk_copy(d);
  if (d.take("mbarrier")) return make_copies_arrive(d);
  if (d.take("commit_group")) {
    d.out.run = &commit;
    return d.done(0);
  }
  if (d.take("wait_all")) {
    d.out.run = &wait_all;
    return d.done(0);
  }
  if (d.take("wait_group")) {
    if (d.arg(0).form != Arg::kInteger) d.refuse("cp.async.wait_group of no number");
    d.out.immediate = static_cast<int64_t>(d.arg(0).bits);
    d.out.run = &wait;
    return d.done(1);
  }
  const bool policy = d.take("L2::cache_hint");
  const bool cached = d.take("ca");
  if ((!cached && !d.take("cg")) || d.take_one({"shared", "shared::cta"}) < 0 || !d.take("global")) d.unknown();
  take_hints(d);
  const size_t args = d.args() - policy;
  if (args < 3 || args > 4) d.done(3);
  d.done(d.args());
  d.address(d.arg(0));
  const int64_t distance = d.out.immediate;
  d.address(d.arg(1));
  d.out.target = static_cast<uint32_t>(d.out.immediate);  // the source's distance
  d.out.immediate = distance;
  const uint64_t bytes = d.arg(2).bits;
  if (d.arg(2).form != Arg::kInteger || (bytes != 4 && bytes != 8 && bytes != 16) || (!cached && bytes != 16)) {
    d.refuse("cp.async of another size");
  }
  d.out.detail[0] = static_cast<uint8_t>(bytes);
  d.out.run = &copy;
  if (args == 4) d.source(d.arg(3), kU32);
}

}  // namespace

const Table& memory_operations() {
  static const Table table = {
      {"ld", make_ld},         {"ldu", make_ld},     {"st", make_st},          {"prefetch", make_hint}, {"prefetchu", make_hint},
      {"applypriority", make_hint}, {"discard", make_hint}, {"createpolicy", make_policy}, {"cp", make_cp},
  };
  return table;
}

}  // namespace emu::ptx
