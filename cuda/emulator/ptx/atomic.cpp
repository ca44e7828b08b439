// SPDX-License-Identifier: Apache-2.0
// atom, red, membar and fence: PTX ISA, "Parallel Synchronization and Communication Instructions".
#include <cstring>

#include "half.h"
#include "memory.h"
#include "operations.h"

namespace emu::ptx {
namespace {

enum AtomicOp : uint8_t { kAnd, kOr, kXor, kCas, kExch, kAdd, kInc, kDec, kMin, kMax };

template <class H>
uint16_t add_half(uint16_t a, uint16_t b) {
  return H::narrow(static_cast<double>(H::widen({a})) + H::widen({b})).bits;
}

template <class H>
uint32_t add_pair(uint32_t a, uint32_t b) {
  uint32_t r = 0;
  for (int p = 0; p < 32; p += 16) {
    r |= static_cast<uint32_t>(add_half<H>(static_cast<uint16_t>(a >> p), static_cast<uint16_t>(b >> p))) << p;
  }
  return r;
}

// Values as they are added, compared and joined: V of the type, U its bits
template <class V, class U>
U combine(uint8_t op, U old, U b, U c) {
  V x, y, r;
  std::memcpy(&x, &old, sizeof x);
  std::memcpy(&y, &b, sizeof y);
  switch (op) {
    case kAnd: return old & b;
    case kOr: return old | b;
    case kXor: return old ^ b;
    case kCas: return old == b ? c : old;
    case kExch: return b;
    case kInc: return old >= b ? 0 : old + 1;
    case kDec: return old == 0 || old > b ? b : old - 1;
    case kMin: r = x < y ? x : y; break;
    case kMax: r = x > y ? x : y; break;
    default:
      if constexpr (std::is_integral_v<V>) return old + b;
      else r = x + y;
  }
  U bits;
  std::memcpy(&bits, &r, sizeof bits);
  return bits;
}

using Wide = unsigned __int128;
struct HalfPair { uint32_t bits; };
struct BrainPair { uint32_t bits; };

template <class U>
U load(U* p) {
  if constexpr (sizeof(U) == 16) return __sync_val_compare_and_swap(p, U(0), U(0));
  else return __atomic_load_n(p, __ATOMIC_SEQ_CST);
}
// Writes `now` if there still is `old`; else `old` becomes what is there.
template <class U>
bool replace(U* p, U& old, U now) {
  if constexpr (sizeof(U) == 16) {
    const U seen = __sync_val_compare_and_swap(p, old, now);
    if (seen == old) return true;
    old = seen;
    return false;
  } else {
    return __atomic_compare_exchange_n(p, &old, now, true, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
  }
}

// One atomic; what was there before
template <class V, class U>
U exchange(uint8_t op, U* p, U b, U e) {
  U old = load(p), now;
  do {
    if constexpr (std::is_same_v<V, HalfPair>) now = add_pair<Half>(old, b);
    else if constexpr (std::is_same_v<V, BrainPair>) now = add_pair<Brain>(old, b);
    else if constexpr (std::is_same_v<V, Half> || std::is_same_v<V, Brain>) now = add_half<V>(old, b);
    else now = combine<V>(op, old, b, e);
  } while (!replace(p, old, now));
  return old;
}

// detail: [0] the state space, [1] the operation, [2] elements, each an atomic of its own
template <class V, class U, bool kResult>
void atomic(Context& c, const Ins& i, uint32_t lanes) {
  const Operand* o = i.o + i.results;
  uint64_t address[kWarpSize];
  addresses_of(c, i, o[0], address);
  const unsigned n = i.detail[2];
  const bool backwards = c.machine->worker.order == Order::kReverse;
  for (uint32_t left = lanes; left;) {
    const unsigned l = backwards ? 31 - static_cast<unsigned>(__builtin_clz(left)) : static_cast<unsigned>(__builtin_ctz(left));
    left &= ~(1u << l);
    auto* p = reinterpret_cast<U*>(reach(c, i, l, static_cast<Space>(i.detail[0]), address[l], n * sizeof(U), Access::kAtomic));
    for (unsigned k = 0; k < n; k++) {
      const U* b = values<U>(c, o[1 + k]);
      const U* e = n == 1 && i.operands > i.results + 2 ? values<U>(c, o[2]) : b;
      const U old = exchange<V, U>(i.detail[1], p + k, b[l], e[l]);
      if (kResult) values<U>(c, i.o[k])[l] = old;
    }
    // What the lane did before its fence is known to whoever comes to this address later.
    if (kCheck && (c.warp->fenced >> l & 1) && space_of_generic(c, reinterpret_cast<uint64_t>(p)) == Space::kGlobal) {
      c.machine->speak_for(*c.warp, l);
      check::arrived(p);
    }
  }
  c.warp->fenced &= ~lanes;
}

template <class V, class U>
Run pick(bool result) { return result ? &atomic<V, U, true> : &atomic<V, U, false>; }

// atom.add.v2.f32 {d...}, [a], {b...}, and without results
void make_vector(Decoder& d, Type t, bool result) {
  const size_t n = d.out.detail[2];
  if (d.out.detail[1] != kAdd || (t.kind != Kind::kFloat && t.kind != Kind::kBfloat) || n * t.bytes() > 16) d.unknown();
  const auto each = [&](const Arg& a, auto f) {
    if (a.form != Arg::kVector || a.parts.size() != n) d.refuse("a vector of another size");
    for (const Arg& part : a.parts) f(part);
  };
  if (result) each(d.arg(0), [&](const Arg& a) { d.result(a, static_cast<int>(t.bytes() * 8)); });
  d.address(d.arg(result));
  each(d.arg(result + 1u), [&](const Arg& a) { d.source(a, t); });
}

template <bool kResult>
void make_atomic(Decoder& d) {
  const bool policy = d.take("L2::cache_hint");
  const Space space = take_space(d);
  const int op = d.take_one({"and", "or", "xor", "cas", "exch", "add", "inc", "dec", "min", "max"});
  d.take("noftz");
  const int vector = d.take_one({"v2", "v4", "v8"});
  const bool b128 = d.take("b128");
  const Type t = b128 ? Type{Kind::kBits, 128, 1} : d.type();
  d.take_one({"relaxed", "acquire", "release", "acq_rel"});
  d.take_one({"cta", "cluster", "gpu", "sys"});
  const bool real = t.kind == Kind::kFloat || t.kind == Kind::kBfloat;
  if (op < 0 || (real && op != kAdd && (op != kExch || t.bits == 16))) d.unknown();
  if ((op == kInc || op == kDec) && t.bits != 32) d.unknown();
  if (t.packed == 2) d.out.run = t.kind == Kind::kFloat ? pick<HalfPair, uint32_t>(kResult) : pick<BrainPair, uint32_t>(kResult);
  else if (t.is(Kind::kFloat, 16)) d.out.run = pick<Half, uint16_t>(kResult);
  else if (t.is(Kind::kBfloat, 16)) d.out.run = pick<Brain, uint16_t>(kResult);
  else if (t.is(Kind::kFloat, 32)) d.out.run = pick<float, uint32_t>(kResult);
  else if (t.is(Kind::kFloat, 64)) d.out.run = pick<double, uint64_t>(kResult);
  else if (t.integer() && t.bits == 32)
    d.out.run = t.kind == Kind::kSigned ? pick<int32_t, uint32_t>(kResult) : pick<uint32_t, uint32_t>(kResult);
  else if (t.integer() && t.bits == 64)
    d.out.run = t.kind == Kind::kSigned ? pick<int64_t, uint64_t>(kResult) : pick<uint64_t, uint64_t>(kResult);
  else if (b128 && kResult && (op == kCas || op == kExch)) d.out.run = pick<Wide, Wide>(true);
  else if (t.kind == Kind::kBits && t.bits == 16 && (op == kCas || op == kExch)) d.out.run = pick<uint16_t, uint16_t>(kResult);
  else d.unknown();
  d.out.detail[0] = static_cast<uint8_t>(space);
  d.out.detail[1] = static_cast<uint8_t>(op);
  d.out.detail[2] = static_cast<uint8_t>(vector < 0 ? 1 : 2 << vector);
  const size_t sources = op == kCas ? 2 : 1;
  d.done(kResult + 1 + sources + policy);
  if (vector >= 0) return make_vector(d, t, kResult);
  if (kResult) d.result(d.arg(0), static_cast<int>(t.bytes() * 8));
  d.address(d.arg(kResult));
  for (size_t k = 0; k < sources; k++) d.source(d.arg(kResult + 1 + k), t);
}

// All memory of this device is coherent: a fence is only remembered, for the order that the next atomic gives.
void fence(Context& c, const Ins&, uint32_t lanes) {
  c.warp->fenced |= lanes;
  __atomic_thread_fence(__ATOMIC_SEQ_CST);
}
void block_fence(Context&, const Ins&, uint32_t) {}
void mbarrier_init_fence(Context& c, const Ins& i, uint32_t lanes) {
  each_lane(lanes, [&](unsigned l) { c.machine->speak_for(*c.warp, l), mbarrier_fence(site_of(c, i)); });
}
void make_fence(Decoder& d) {
  // Between accesses of threads and those of bulk copies: the latter see mbarriers that were initialised before.
  if (d.take("mbarrier_init") || (d.take("proxy") && d.take("async"))) {
    d.take("release");
    d.take_one({"cluster", "shared::cta", "shared::cluster", "global"});
    d.out.run = &mbarrier_init_fence;
    return d.done(0);
  }
  d.take_one({"sc", "acq_rel", "acquire", "release"});
  const int scope = d.take_one({"cta", "cluster", "gpu", "sys", "gl"});
  if (scope < 0) d.unknown();
  d.out.run = scope == 0 ? &block_fence : &fence;
  d.done(0);
}

}  // namespace

const Table& atomic_operations() {
  static const Table table = {{"atom", make_atomic<true>}, {"red", make_atomic<false>}, {"membar", make_fence}, {"fence", make_fence}};
  return table;
}

}  // namespace emu::ptx
