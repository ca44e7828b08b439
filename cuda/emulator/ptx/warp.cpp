// SPDX-License-Identifier: Apache-2.0
// What lanes of a warp do together: shfl, vote, match, redux, bar.warp, activemask.
#include "operations.h"

namespace emu::ptx {
namespace {

// for (each lane of each part): f(part, lane)
template <class F>
void each(const Meeting& m, F f) {
  for (int k = 0; k < m.parts; k++) {
    const Part& p = m.part[k];
    each_lane(p.lanes, [&](unsigned l) { f(p, l); });
  }
}

// ---- shfl: d[|p], a, b, c, mask. The operands behind the results are at i.o[results].
enum Shuffle : uint8_t { kUp, kDown, kButterfly, kIndex };
void shuffle(Meeting& m) {
  uint32_t value[kWarpSize];
  each(m, [&](const Part& p, unsigned l) { value[l] = values<uint32_t>(p.c, p.i->o[p.i->results])[l]; });
  for (int k = 0; k < m.parts; k++) {
    const Part& p = m.part[k];
    const Operand* o = p.i->o + p.i->results;
    uint32_t *d = values<uint32_t>(p.c, p.i->o[0]), *b = values<uint32_t>(p.c, o[1]), *c = values<uint32_t>(p.c, o[2]);
    uint32_t inside = 0, result[kWarpSize];
    each_lane(p.lanes, [&](unsigned l) {
      const int lane = static_cast<int>(l), by = static_cast<int>(b[l] & 31), clamp = static_cast<int>(c[l] & 31);
      const int segment = static_cast<int>(c[l] >> 8 & 31);
      const int last = (lane & segment) | (clamp & ~segment), first = lane & segment;
      int source = 0;
      bool in = false;
      switch (p.i->detail[0]) {
        case kUp: source = lane - by, in = source >= last; break;
        case kDown: source = lane + by, in = source <= last; break;
        case kButterfly: source = lane ^ by, in = source <= last; break;
        default: source = first | (by & ~segment), in = source <= last; break;
      }
      if (!in) source = lane;
      inside |= static_cast<uint32_t>(in) << l;
      if (!(m.lanes >> source & 1)) {
        m.machine.speak_for(m.warp, l);
        finding(site_of(p.c, *p.i), "lane %u shuffles from lane %d, which does not take part (lanes %08x)", l, source, m.lanes);
        result[l] = ~0u;
      } else {
        result[l] = value[source];
      }
    });
    each_lane(p.lanes, [&](unsigned l) { d[l] = result[l]; });
    if (p.i->results == 2) set_predicate(p.c, p.i->o[1], p.lanes, inside);
  }
}

void make_shfl(Decoder& d) {
  if (!d.take("sync")) d.unknown();
  const int mode = d.take_one({"up", "down", "bfly", "idx"});
  if (mode < 0 || !d.take("b32")) d.unknown();
  d.out.flow = Flow::kMeet;
  d.out.meet = &shuffle;
  d.out.detail[0] = static_cast<uint8_t>(mode);
  d.done(5);
  const bool pair = d.arg(0).form == Arg::kPair;
  d.result(pair ? d.arg(0).parts[0] : d.arg(0), 32);
  if (pair && d.arg(0).parts[1].form != Arg::kNothing) d.predicate_result(d.arg(0).parts[1]);
  for (size_t k = 1; k <= 4; k++) d.source(d.arg(k), kU32);
  d.out.mask = static_cast<uint8_t>(d.out.results + 3);
}

// ---- vote: d, a, mask
enum Vote : uint8_t { kAll, kAny, kUniform, kBallot };
void vote(Meeting& m) {
  uint32_t yes = 0;
  for (int k = 0; k < m.parts; k++) yes |= predicate(m.part[k].c, m.part[k].i->o[1]) & m.part[k].lanes;
  for (int k = 0; k < m.parts; k++) {
    const Part& p = m.part[k];
    switch (p.i->detail[0]) {
      case kAll: set_predicate(p.c, p.i->o[0], p.lanes, yes == m.lanes ? kFullMask : 0); break;
      case kAny: set_predicate(p.c, p.i->o[0], p.lanes, yes ? kFullMask : 0); break;
      case kUniform: set_predicate(p.c, p.i->o[0], p.lanes, yes == m.lanes || !yes ? kFullMask : 0); break;
      default: each_lane(p.lanes, [&](unsigned l) { values<uint32_t>(p.c, p.i->o[0])[l] = yes; });
    }
  }
}
void make_vote(Decoder& d) {
  if (!d.take("sync")) d.unknown();
  const int how = d.take_one({"all", "any", "uni", "ballot"});
  if (how < 0 || !d.take(how == kBallot ? "b32" : "pred")) d.unknown();
  d.out.flow = Flow::kMeet;
  d.out.meet = &vote;
  d.out.detail[0] = static_cast<uint8_t>(how);
  d.done(3);
  if (how == kBallot) d.result(d.arg(0), 32);
  else d.predicate_result(d.arg(0));
  d.predicate_source(d.arg(1));
  d.source(d.arg(2), kU32);
  d.out.mask = 2;
}

// ---- match: d[|p], a, mask
template <class T>
void match(Meeting& m) {
  T value[kWarpSize];
  each(m, [&](const Part& p, unsigned l) { value[l] = values<T>(p.c, p.i->o[p.i->results])[l]; });
  bool all = true;
  const unsigned first = static_cast<unsigned>(__builtin_ctz(m.lanes));
  each_lane(m.lanes, [&](unsigned l) { all &= value[l] == value[first]; });
  each(m, [&](const Part& p, unsigned l) {
    uint32_t same = 0;
    each_lane(m.lanes, [&](unsigned other) { same |= static_cast<uint32_t>(value[other] == value[l]) << other; });
    values<uint32_t>(p.c, p.i->o[0])[l] = p.i->detail[0] ? (all ? m.lanes : 0) : same;
    if (p.i->results == 2) set_predicate(p.c, p.i->o[1], 1u << l, all ? kFullMask : 0);
  });
}
void make_match(Decoder& d) {
  const bool all = d.take_one({"any", "all"}) == 1;
  const Type t = d.type();
  if (!d.take("sync") || t.bits < 32) d.unknown();
  d.out.flow = Flow::kMeet;
  d.out.meet = t.bits == 64 ? &match<uint64_t> : &match<uint32_t>;
  d.out.detail[0] = all;
  d.done(3);
  const bool pair = d.arg(0).form == Arg::kPair;
  d.result(pair ? d.arg(0).parts[0] : d.arg(0), 32);
  if (pair) d.predicate_result(d.arg(0).parts[1]);
  d.source(d.arg(1), t);
  d.source(d.arg(2), kU32);
  d.out.mask = static_cast<uint8_t>(d.out.results + 1);
}

// ---- redux: d, a, mask
enum Redux : uint8_t { kAdd, kMin, kMax, kAnd, kOr, kXor };
template <class T>
void redux(Meeting& m) {
  T r{};
  bool first = true;
  each(m, [&](const Part& p, unsigned l) {
    const T v = values<T>(p.c, p.i->o[1])[l];
    switch (p.i->detail[0]) {
      case kAdd: r = static_cast<T>(static_cast<uint32_t>(r) + static_cast<uint32_t>(v)); break;
      case kMin: r = first ? v : std::min(r, v); break;
      case kMax: r = first ? v : std::max(r, v); break;
      case kAnd: r = first ? v : r & v; break;
      case kOr: r |= v; break;
      default: r ^= v;
    }
    first = false;
  });
  each(m, [&](const Part& p, unsigned l) { values<T>(p.c, p.i->o[0])[l] = r; });
}
void make_redux(Decoder& d) {
  const int how = d.take_one({"add", "min", "max", "and", "or", "xor"});
  const Type t = d.type();
  if (how < 0 || !d.take("sync") || t.bits != 32 || !t.integer()) d.unknown();
  d.out.flow = Flow::kMeet;
  d.out.meet = t.kind == Kind::kSigned ? &redux<int32_t> : &redux<uint32_t>;
  d.out.detail[0] = static_cast<uint8_t>(how);
  d.done(3);
  d.result(d.arg(0), 32);
  d.source(d.arg(1), kU32);
  d.source(d.arg(2), kU32);
  d.out.mask = 2;
}

void activemask(Context& c, const Ins& i, uint32_t lanes) {
  uint32_t* d = values<uint32_t>(c, i.o[0]);
  each_lane(lanes, [=](unsigned l) { d[l] = lanes; });
}
void make_activemask(Decoder& d) {
  if (!d.take("b32")) d.unknown();
  d.out.run = &activemask;
  d.done(1);
  d.result(d.arg(0), 32);
}

// elect.sync d|p, mask: the lowest lane is the leader
void elect(Meeting& m) {
  const auto leader = static_cast<uint32_t>(__builtin_ctz(m.lanes));
  each(m, [&](const Part& p, unsigned l) {
    if (p.i->results == 2) values<uint32_t>(p.c, p.i->o[0])[l] = leader;
    set_predicate(p.c, p.i->o[p.i->results - 1], 1u << l, l == leader ? kFullMask : 0);
  });
}
void make_elect(Decoder& d) {
  if (!d.take("sync")) d.unknown();
  d.out.flow = Flow::kMeet;
  d.out.meet = &elect;
  d.done(2);
  if (d.arg(0).form != Arg::kPair) d.refuse("elect.sync without a predicate");
  if (d.arg(0).parts[0].form != Arg::kNothing) d.result(d.arg(0).parts[0], 32);
  d.predicate_result(d.arg(0).parts[1]);
  d.source(d.arg(1), kU32);
  d.out.mask = d.out.results;
}

}  // namespace

// bar.warp.sync mask: what the lanes have written is known to all of them.
void warp_barrier_meeting(Meeting& m) {
  uint32_t met[kMaxWarps] = {};
  met[m.warp.number] = m.lanes;
  check::synchronise(m.machine.worker, met);
}

const Table& warp_operations() {
  static const Table table = {{"shfl", make_shfl}, {"vote", make_vote}, {"match", make_match}, {"redux", make_redux}, {"activemask",
      make_activemask}, {"elect", make_elect}};
  return table;
}

}  // namespace emu::ptx
