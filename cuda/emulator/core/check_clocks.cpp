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
  Clock* met = take_clock(c);
  std::memset(met->seen, 0, w.threads * sizeof met->seen[0]);
  const Clock* last = nullptr;  // neighbours mostly share one
  for_threads(w, lanes, [&](unsigned i) {
    const Clock* clock = c.thread[i].clock;
    if (clock && clock != last)
      for (unsigned k = 0; k < w.threads; k++) met->seen[k] = std::max(met->seen[k], clock->seen[k]);
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

void found(Place place, const char* format, ...) {
  va_list list;
  va_start(list, format);
  finding_list(place.site, place.pc, format, list);
  va_end(list);
}

}  // namespace emu::check
