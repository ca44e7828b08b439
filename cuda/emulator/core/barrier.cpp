// SPDX-License-Identifier: Apache-2.0
// __syncthreads and its votes.
#include <cstring>

#include "check.h"
#include "report.h"
#include "worker.h"

namespace emu {
namespace {

// Everybody is there: wake all but the running thread.
void release(Worker& w) {
  Barrier& b = w.barrier;
  const Fiber& me = *running();
  for (unsigned i = 0; i < w.warps; i++) {
    const uint32_t awake = me.warp == i ? 1u << me.lane : 0;
    set_ready(w, i, b.waiting[i] & ~awake);
  }
  check::synchronise(w, b.waiting);
  std::memset(b.waiting, 0, sizeof b.waiting);
  b.released_arrived = b.arrived;
  b.released_votes = b.votes;
  b.arrived = b.votes = 0;
  w.stats.barriers++;
}

}  // namespace

int block_barrier(int predicate, Vote vote, Site site) {
  Worker& w = *worker;
  Fiber& f = *running();
  Barrier& b = w.barrier;
  f.site = site;
  f.op = Op::kBlockBarrier;
  if (options().strict) {
    if (w.alive != w.threads) finding(site, "__syncthreads after %u threads of the block have ended", w.threads - w.alive);
    if (b.arrived && !same_place(b.site, site))
      finding(site, "threads of one block meet at different __syncthreads: others wait at line %u", line_of(b.site));
  }
  b.site = site;
  b.arrived++;
  b.votes += predicate != 0;
  b.waiting[f.warp] |= 1u << f.lane;
  if (b.arrived == w.alive) release(w);
  else wait_here(w);
  f.op = Op::kNone;
  switch (vote) {
    case Vote::kCount: return static_cast<int>(b.released_votes);
    case Vote::kAnd: return b.released_votes == b.released_arrived;
    default: return b.released_votes != 0;
  }
}

void barrier_thread_exit(Worker& w) {
  if (options().strict) finding(w.barrier.site, "a thread ends while others of its block wait at this __syncthreads");
  if (w.barrier.arrived == w.alive) release(w);
}

}  // namespace emu
