// SPDX-License-Identifier: Apache-2.0
// Warp collectives. The last lane to arrive does the work for all: the others' arguments lie on stacks that stand still.
#include <cstring>

#include "check.h"
#include "report.h"
#include "tensor_core.h"
#include "worker.h"

namespace emu {
namespace {

struct ShuffleArgument {
  uint64_t value, result;
  int source;
};
struct CombineArgument {
  uint64_t value;  // in and out
  Combine combine;
};
struct ReduceArgument {
  uint32_t value, result;
};

// for (each lane of a mask)
template <class F>
inline void for_lanes(uint32_t mask, F f) {
  for (; mask; mask &= mask - 1) f(static_cast<unsigned>(__builtin_ctz(mask)));
}

template <class T>
inline T& argument(Fiber* lanes, unsigned lane) {
  return *static_cast<T*>(lanes[lane].argument);
}

void do_shuffle(Fiber* lanes, const Group& g) {
  for_lanes(g.arrived, [&](unsigned lane) {
    auto& a = argument<ShuffleArgument>(lanes, lane);
    if (a.source >= 0 && a.source < 32 && g.arrived >> a.source & 1) {
      a.result = argument<ShuffleArgument>(lanes, a.source).value;
    } else {
      finding(lanes[lane].site, "lane %u shuffles from lane %d, which does not take part (mask %08x)", lane, a.source, g.mask);
      a.result = ~0ull;
    }
  });
}

void do_combine(Fiber* lanes) {
  uint64_t values[kWarpSize];
  const Combine combine = argument<CombineArgument>(lanes, 0).combine;
  for (unsigned lane = 0; lane < kWarpSize; lane++) {
    const auto& a = argument<CombineArgument>(lanes, lane);
    if (a.combine != combine) give_up(lanes[lane].site, "the warp diverged: lane %u is at another reduction than lane 0", lane);
    values[lane] = a.value;
  }
  combine(values);
  for (unsigned lane = 0; lane < kWarpSize; lane++) argument<CombineArgument>(lanes, lane).value = values[lane];
}

uint32_t combine(Reduce how, uint32_t a, uint32_t b) {
  switch (how) {
    case Reduce::kAdd: return a + b;
    case Reduce::kMin: return a < b ? a : b;
    case Reduce::kMax: return a > b ? a : b;
    case Reduce::kAnd: return a & b;
    case Reduce::kOr: return a | b;
    default: return a ^ b;
  }
}

void do_reduce(Fiber* lanes, const Group& g) {
  const auto how = static_cast<Reduce>(static_cast<int>(g.op) - static_cast<int>(Op::kReduce));
  const auto value = [&](unsigned lane) { return argument<ReduceArgument>(lanes, lane).value; };
  if (how == Reduce::kMatch) {
    for_lanes(g.arrived, [&](unsigned lane) {
      uint32_t same = 0;
      for_lanes(g.arrived, [&](unsigned other) { same |= static_cast<uint32_t>(value(other) == value(lane)) << other; });
      argument<ReduceArgument>(lanes, lane).result = same;
    });
    return;
  }
  uint32_t result = 0;
  bool first = true;
  for_lanes(g.arrived, [&](unsigned lane) {
    if (how == Reduce::kBallot) result |= static_cast<uint32_t>(value(lane) != 0) << lane;
    else result = first ? value(lane) : combine(how, result, value(lane));
    first = false;
  });
  for_lanes(g.arrived, [&](unsigned lane) { argument<ReduceArgument>(lanes, lane).result = result; });
}

// All lanes are there: do it and wake them, except the running one.
void complete(Worker& w, unsigned warp, const Group& g) {
  Fiber* lanes = &w.fiber[warp * kWarpSize];
  switch (g.op) {
    case Op::kWarpBarrier: {
      uint32_t met[kMaxWarps] = {};
      met[warp] = g.arrived;
      check::synchronise(w, met);
      break;
    }
    case Op::kShuffle: do_shuffle(lanes, g); break;
    case Op::kCombine: do_combine(lanes); break;
    case Op::kLdmatrix:
    case Op::kLdmatrixTransposed: do_ldmatrix(w, lanes, g.op == Op::kLdmatrixTransposed); break;
    case Op::kMma: do_mma(w, lanes, false); break;
    case Op::kMmaF16: do_mma(w, lanes, true); break;
    default: do_reduce(lanes, g); break;
  }
  const Fiber& me = *running();
  const uint32_t awake = me.warp == warp ? 1u << me.lane : 0;
  set_ready(w, warp, g.arrived & ~awake & w.warp[warp].alive);
}

Group& group_of(Warp& warp, const Fiber& f, uint32_t mask, Op op, bool aligned, Site site) {
  for (int i = 0; i < warp.groups; i++) {
    Group& g = warp.group[i];
    if (g.mask != mask) continue;
    if (g.op != op || (aligned && !same_place(g.site, site)))
      give_up(site, "the warp diverged: lane %u is here, others wait at another collective at line %u", f.lane,
              line_of(g.site));
    return g;
  }
  Group& g = warp.group[warp.groups++];
  g = {mask, 0, op, aligned, site};
  return g;
}

void meet(uint32_t mask, Op op, bool aligned, void* argument, Site site) {
  Worker& w = *worker;
  Fiber& f = *running();
  Warp& warp = w.warp[f.warp];
  const uint32_t bit = 1u << f.lane, needed = mask & warp.alive;
  w.stats.collectives++;
  f.argument = argument;
  f.site = site;
  f.op = op;
  if (!(mask & bit)) give_up(site, "lane %u calls a warp collective whose mask %08x leaves it out", f.lane, mask);
  if (aligned && needed != kFullMask) give_up(site, "an instruction of the whole warp, but only lanes %08x are left", needed);
  Group& g = group_of(warp, f, mask, op, aligned, site);
  g.arrived |= bit;
  if (g.arrived == needed) {
    const Group all = g;
    g = warp.group[--warp.groups];
    complete(w, f.warp, all);
  } else {
    wait_here(w);
  }
  f.op = Op::kNone;
}

}  // namespace

void warp_barrier(uint32_t mask, Site site) { meet(mask, Op::kWarpBarrier, false, nullptr, site); }

uint64_t warp_shuffle(uint32_t mask, uint64_t value, int source_lane, Site site) {
  ShuffleArgument a{value, 0, source_lane};
  meet(mask, Op::kShuffle, false, &a, site);
  return a.result;
}

uint64_t warp_combine(uint64_t value, Combine combine, Site site) {
  CombineArgument a{value, combine};
  meet(kFullMask, Op::kCombine, true, &a, site);
  return a.value;
}

uint32_t warp_reduce(uint32_t mask, uint32_t value, Reduce how, Site site) {
  ReduceArgument a{value, 0};
  meet(mask, reduce_op(how), false, &a, site);
  return a.result;
}

void ldmatrix(uint32_t* r, int tiles, const void* row, bool transposed, Site site) {
  LdmatrixArgument a{row, r, tiles};
  if (static_cast<int>(self->lane) < 8 * tiles) {  // the other lanes' addresses are not used
    running()->site = site;
    if (!find_arena(*worker, row, 16)) give_up(site, "ldmatrix row %p is not inside shared memory", row);
    if (reinterpret_cast<uintptr_t>(row) % 16) give_up(site, "misaligned ldmatrix row: %p is not a multiple of 16", row);
    check::touch(row, 16, Access::kRead, site);
  }
  meet(kFullMask, transposed ? Op::kLdmatrixTransposed : Op::kLdmatrix, true, &a, site);
}

void mma(float* d, const uint32_t* a, uint32_t b0, uint32_t b1, bool f16, Site site) {
  MmaArgument argument{d, a, {b0, b1}};
  meet(kFullMask, f16 ? Op::kMmaF16 : Op::kMma, true, &argument, site);
}

// Lanes that have ended count as arrived, so the end of one may complete a collective.
void collectives_thread_exit(Worker& w, Fiber& f) {
  Warp& warp = w.warp[f.warp];
  for (int i = 0; i < warp.groups; i++) {
    const Group g = warp.group[i];
    if (!(g.mask >> f.lane & 1)) continue;
    if (g.aligned) give_up(g.site, "lane %u ends while others wait at an instruction of the whole warp", f.lane);
    if (options().strict > 1) finding(g.site, "lane %u of the mask %08x ends while others wait here", f.lane, g.mask);
    if (g.arrived != (g.mask & warp.alive)) continue;
    warp.group[i--] = warp.group[--warp.groups];
    complete(w, f.warp, g);
  }
}

}  // namespace emu
