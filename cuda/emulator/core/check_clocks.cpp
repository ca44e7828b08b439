// SPDX-License-Identifier: Apache-2.0
// Clocks of the threads of a block, see check_state.h.
#include <sys/mman.h>

#include <cstdarg>
#include <cstdlib>
#include <cstring>

#include "check_state.h"
#include "report.h"

namespace emu::check {
namespace {

// A free clock keeps the next free one in its own memory.
Clock* take_clock(CheckState& c) {
  Clock* clock = c.free_clocks;
  if (clock) std::memcpy(&c.free_clocks, clock->seen, sizeof c.free_clocks);
  else clock = static_cast<Clock*>(std::malloc(sizeof(Clock)));
  clock->references = 0;
  return clock;
}

void drop_clock(CheckState& c, Clock* clock) {
  if (!clock || --clock->references) return;
  std::memcpy(clock->seen, &c.free_clocks, sizeof c.free_clocks);
  c.free_clocks = clock;
}

// for (each thread of the lanes)
template <class F>
void for_threads(const Worker& w, const uint32_t* lanes, F f) {
  for (unsigned warp = 0; warp < w.warps; warp++)
    for (uint32_t left = lanes[warp]; left; left &= left - 1)
      f(warp * kWarpSize + static_cast<unsigned>(__builtin_ctz(left)));
}

// for (each entry of a clock that is in use)
template <class F>
void for_entries(const Worker& w, F f) {
  for (size_t i = 0; i < w.threads; i++) f(i);
  for (size_t i = kMaxThreads; i < kMaxThreads + w.mbarriers.size(); i++) f(i);
}

// A clock that has seen nothing; mbarriers may be initialised later.
Clock* empty_clock(CheckState& c, const Worker& w) {
  Clock* clock = take_clock(c);
  std::memset(clock->seen, 0, w.threads * sizeof clock->seen[0]);
  std::memset(clock->seen + kMaxThreads, 0, kMaxMbarriers * sizeof clock->seen[0]);
  return clock;
}

}  // namespace

void prepare(Worker& w) {
  auto* c = static_cast<CheckState*>(std::calloc(1, sizeof(CheckState)));
  void* shadow = mmap(nullptr, kSharedCapacity * sizeof(SharedShadow), PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (!c || shadow == MAP_FAILED) std::abort();
  c->shared = static_cast<SharedShadow*>(shadow);
  w.check = c;
}

void block_start(Worker& w) {
  CheckState& c = *w.check;
  for (ThreadClock& t : c.thread) {
    drop_clock(c, t.clock);
    t = {nullptr, 1};
  }
  grid_block_start();
  reset_shared(w);
}

void block_end(Worker&) {}

void synchronise(Worker& w, const uint32_t* lanes) {
  CheckState& c = *w.check;
  Clock* met = empty_clock(c, w);
  const Clock* last = nullptr;  // neighbours mostly share one
  for_threads(w, lanes, [&](unsigned i) {
    const Clock* clock = c.thread[i].clock;
    if (clock && clock != last) for_entries(w, [&](size_t k) { met->seen[k] = std::max(met->seen[k], clock->seen[k]); });
    last = clock;
  });
  for_threads(w, lanes, [&](unsigned i) { met->seen[i] = c.thread[i].epoch; });
  for_threads(w, lanes, [&](unsigned i) {
    drop_clock(c, c.thread[i].clock);
    c.thread[i].clock = met;
    c.thread[i].epoch++;
    met->references++;
  });
}

void mbarrier_initialised(unsigned barrier) {
  MbarrierClock*& m = worker->check->mbarrier[barrier];
  if (!m) m = static_cast<MbarrierClock*>(std::malloc(sizeof *m));
  if (!m) std::abort();
  std::memset(m, 0, sizeof *m);
  m->initialised = now(*worker->check, self->linear);
}

void mbarrier_used(unsigned barrier, Site site) {
  const CheckState& c = *worker->check;
  const Past initialised = c.mbarrier[barrier]->initialised;
  if (!ordered(c, self->linear, initialised))
    found({nullptr, site}, "race: use of an mbarrier that thread %u initialised, with no barrier between", initialised.thread);
}

void mbarrier_arrived(unsigned barrier) {
  const Worker& w = *worker;
  CheckState& c = *w.check;
  ThreadClock& me = c.thread[self->linear];
  uint32_t* arrived = c.mbarrier[barrier]->arrived;
  if (me.clock) for_entries(w, [&](size_t k) { arrived[k] = std::max(arrived[k], me.clock->seen[k]); });
  arrived[self->linear] = me.epoch++;
}

void mbarrier_completed(unsigned barrier) {
  const Worker& w = *worker;
  MbarrierClock& m = *w.check->mbarrier[barrier];
  std::memcpy(m.ended, m.arrived, sizeof m.ended);
  std::memset(m.arrived, 0, sizeof m.arrived);
  m.ended[kMaxThreads + barrier] = w.mbarriers[barrier].phases;
}

void mbarrier_acquired(unsigned barrier) {
  const Worker& w = *worker;
  CheckState& c = *w.check;
  ThreadClock& me = c.thread[self->linear];
  const uint32_t* ended = c.mbarrier[barrier]->ended;
  Clock* now = empty_clock(c, w);
  for_entries(w, [&](size_t k) { now->seen[k] = me.clock ? std::max(me.clock->seen[k], ended[k]) : ended[k]; });
  drop_clock(c, me.clock);
  me.clock = now;
  now->references = 1;
}

void found(Place place, const char* format, ...) {
  va_list list;
  va_start(list, format);
  finding_list(place.site, place.pc, format, list);
  va_end(list);
}

}  // namespace emu::check
