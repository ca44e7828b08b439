// SPDX-License-Identifier: Apache-2.0
// What happens before what between the blocks of a launch: a block that arrives at a counter (dvl::last_block) leaves its clock
// there and learns the clocks of the blocks that came before. Knowledge is not passed on to a third block.
#include <unordered_map>
#include <vector>

#include "check_state.h"

namespace emu::check {
namespace {

struct Arrival {
  uint64_t block;
  Past last;                   // the arriving thread's epoch
  std::vector<uint32_t> seen;  // its clock
};
using Arrivals = std::vector<Arrival>;

// Of the running block: it knows the first `count` of the arrivals since `when`.
struct Known {
  const Arrivals* arrivals;
  size_t count;
  Past when;
};

// One worker runs all blocks of the check build, one after another: no locks.
std::unordered_map<const void*, Arrivals> counters;  // of this launch
std::vector<Known> known;

bool covers(const Arrival& a, Past past) {
  return past.thread == a.last.thread ? past.epoch <= a.last.epoch : past.thread < a.seen.size() && past.epoch <= a.seen[past.thread];
}

}  // namespace

void grid_launch_start() { counters.clear(); }
void grid_block_start() { known.clear(); }

void arrived(const void* counter) {
  const Worker& w = *worker;
  CheckState& c = *w.check;
  const unsigned me = self->linear;
  const Clock* clock = c.thread[me].clock;
  Arrivals& arrivals = counters[counter];
  arrivals.push_back({w.block, now(c, me), {}});
  if (clock) arrivals.back().seen.assign(clock->seen, clock->seen + w.threads);
  c.thread[me].epoch++;  // what this thread does from here on comes after its arrival
  known.push_back({&arrivals, arrivals.size(), now(c, me)});
}

bool arrived_before(const CheckState& c, unsigned me, uint64_t block, Past past) {
  for (const Known& k : known) {
    if (!ordered(c, me, k.when)) continue;
    for (size_t i = 0; i < k.count; i++) {
      const Arrival& a = (*k.arrivals)[i];
      if (a.block == block && covers(a, past)) return true;
    }
  }
  return false;
}

}  // namespace emu::check
