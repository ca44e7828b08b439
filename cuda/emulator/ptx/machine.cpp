// SPDX-License-Identifier: Apache-2.0
// Warps of a block: their order, how lanes part and come together again, and what they wait for.
//
// Lanes that part at a branch become strands. The strand that is furthest behind runs, until it reaches the next one, so that lanes come
// together again as on a GPU. Where they must meet (.sync), a strand waits for the others whatever the order.
#include "machine.h"

#include <sys/mman.h>

#include <cstdlib>
#include <cstring>

namespace emu::ptx {
namespace {

constexpr uint32_t kJumpsBack = 512;  // of one strand before others come first
constexpr int kTurns = 8;             // of a warp before other warps come first

char* map_memory(size_t bytes) {
  void* p = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (p == MAP_FAILED) std::abort();
  return static_cast<char*>(p);
}

// Before others: deeper in calls, then earlier in the code.
bool behind(const Strand& a, const Strand& b) {
  if (a.frame->depth != b.frame->depth) return a.frame->depth > b.frame->depth;
  return a.pc < b.pc;
}

}  // namespace

Machine::Machine(Worker& worker) : worker(worker), warps_(kMaxWarps), local_(map_memory(kMaxThreads * kLocalBytes)) {
  if (kCheck) written_local = map_memory(kMaxThreads * kLocalBytes);
}

void Machine::run(const Function& kernel, void** args) {
  prepare(kernel, args);
  while (alive_) {
    Warp* w = next_warp();
    if (w) run_warp(*w);
    else if (!do_bulk_copy(worker)) deadlock();
  }
}

Warp* Machine::next_warp() {
  const auto runnable = [&](Warp& w) {
    for (int s = 0; s < w.strands; s++)
      if (!still_waits(w.strand[s])) return true;
    return false;
  };
  const unsigned n = worker.warps;
  const unsigned start = worker.order == Order::kRandom ? next_random(worker) % n : last_warp_;
  for (unsigned k = 1; k <= n; k++) {
    const unsigned i = worker.order == Order::kReverse ? (start + n - k % n) % n : (start + k) % n;
    if (!runnable(warps_[i])) continue;
    last_warp_ = i;
    return &warps_[i];
  }
  return nullptr;
}

void Machine::run_warp(Warp& w) {
  for (int turn = 0; turn < kTurns;) {
    Strand* s = choose(w);
    if (!s) return;
    turn += advance(w, *s) ? 1 : 0;
  }
}

// Brings strands at the same instruction of the same frame together.
void Machine::merge(Warp& w) {
  for (int a = 0; a < w.strands; a++)
    for (int b = w.strands - 1; b > a; b--) {
      Strand &x = w.strand[a], &y = w.strand[b];
      if (x.wait != Wait::kNothing || y.wait != Wait::kNothing || x.pc != y.pc || x.frame != y.frame) continue;
      x.lanes |= y.lanes;
      y = w.strand[--w.strands];
    }
}

Strand* Machine::choose(Warp& w) {
  if (w.strands == 1) {
    w.strand[0].jumps = 0;
    return still_waits(w.strand[0]) ? nullptr : &w.strand[0];
  }
  merge(w);
  for (int attempt = 0; attempt < 2; attempt++) {
    Strand* best = nullptr;
    uint32_t seen = 0;
    for (int i = 0; i < w.strands; i++) {
      Strand& s = w.strand[i];
      if (still_waits(s) || s.jumps >= kJumpsBack) continue;
      seen++;
      const bool first = !best || (worker.order == Order::kForward   ? behind(s, *best)
                                   : worker.order == Order::kReverse ? behind(*best, s)
                                                                     : next_random(worker) % seen == 0);
      if (first) best = &s;
    }
    if (best) return best;
    for (int i = 0; i < w.strands; i++) w.strand[i].jumps = 0;
  }
  return nullptr;
}

// Where s comes together with a strand ahead of it.
const Ins* Machine::stop_of(const Warp& w, const Strand& s) const {
  const Ins* stop = nullptr;
  for (int i = 0; i < w.strands; i++) {
    const Strand& other = w.strand[i];
    if (other.frame != s.frame || other.pc <= s.pc || other.wait != Wait::kNothing) continue;
    if (!stop || other.pc < stop) stop = other.pc;
  }
  return stop;
}

// Runs the strand until it parts, waits, ends or reaches another one; true when it has jumped back so often that others come first.
bool Machine::advance(Warp& w, Strand& s) {
  Context c = context(w, s.frame);
  const Ins* const code = s.frame->function->code.data();
  const Ins* const stop = w.strands > 1 ? stop_of(w, s) : nullptr;
  const Ins* pc = s.pc;
  const uint32_t lanes = s.lanes;
  for (;; pc++) {
    if (pc == stop) break;
    const Ins& i = *pc;
    uint32_t m = lanes;
    if (i.guarded) {
      const uint32_t p = *reinterpret_cast<const uint32_t*>(c.base[kRegisters] + i.guard);
      m &= i.guard_negated ? ~p : p;
    }
    if constexpr (kCheck) {
      s.pc = pc;
      check_defined(w, c, i, lanes);
    }
    if (i.flow == Flow::kNext) {
      if (m) i.run(c, i, m);
      continue;
    }
    if (i.flow == Flow::kBranch) {
      if (!m) continue;
      const Ins* target = code + i.target;
      const bool tired = target <= pc && ++s.jumps >= kJumpsBack;
      if (m != lanes) split(w, s, pc + 1, lanes & ~m);
      if (m != lanes || tired || w.strands > 1) {
        s.pc = target;
        return tired;
      }
      pc = target - 1;
      continue;
    }
    s.pc = pc;
    if (!m) continue;
    if (m != lanes) split(w, s, pc + 1, lanes & ~m);
    switch (i.flow) {
      case Flow::kTable: branch_table(w, s, i, m); break;
      case Flow::kCall: call(w, s, i, m); break;
      case Flow::kReturn:
        if (s.frame->caller) give_back(w, s, m);
        else exit_lanes(w, s, m);
        break;
      case Flow::kExit: exit_lanes(w, s, m); break;
      case Flow::kBarrier: arrive(w, s, i, m); break;
      case Flow::kMbarrier: return wait_mbarrier(w, s, i, m);
      default: meet(w, s, i, m); break;
    }
    return false;
  }
  s.pc = pc;
  return false;
}

// Some lanes of s go on elsewhere.
void Machine::split(Warp& w, Strand& s, const Ins* pc, uint32_t lanes) {
  s.lanes &= ~lanes;
  Strand& other = w.strand[w.strands++];
  other = s;
  other.pc = pc;
  other.lanes = lanes;
  other.jumps = 0;
}

void Machine::branch_table(Warp& w, Strand& s, const Ins& i, uint32_t lanes) {
  const std::vector<uint32_t>& table = s.frame->function->tables[i.target];
  const Context c = context(w, s.frame);
  const uint32_t* index = values<uint32_t>(c, i.o[0]);
  const Ins* code = s.frame->function->code.data();
  while (lanes) {
    const unsigned first = static_cast<unsigned>(__builtin_ctz(lanes));
    if (index[first] >= table.size()) give_up_at(c, i, first, "branch %u of %zu", index[first], table.size());
    uint32_t same = 0;
    each_lane(lanes, [&](unsigned l) { same |= static_cast<uint32_t>(index[l] == index[first]) << l; });
    lanes &= ~same;
    const Ins* target = code + table[index[first]];
    if (lanes) split(w, s, target, same);
    else s.pc = target;
  }
}

void Machine::exit_lanes(Warp& w, Strand& s, uint32_t lanes) {
  for (Frame* f = s.frame; f;) {
    Frame* caller = f->caller;
    leave_frame(f, lanes);
    f = caller;
  }
  s = w.strand[--w.strands];
  w.alive &= ~lanes;
  alive_ -= static_cast<unsigned>(__builtin_popcount(lanes));
  each_lane(lanes, [&](unsigned l) {
    speak_for(w, l);
    CopyQueue& copies = worker.copy_queue[w.number * kWarpSize + l];
    if (!copies.copies.empty()) copies_thread_exit(worker, worker.fiber[w.number * kWarpSize + l]);
    copies.committed = 0;
  });
  // Lanes that have ended count as there.
  for (int k = 0; k < w.strands; k++) {
    const Strand other = w.strand[k];
    if (other.wait == Wait::kMeet && complete_meeting(w, *other.pc, other.mask)) k = -1;
  }
  for (int b = 0; b < kBarriers; b++) release_if_complete(b);
}

}  // namespace emu::ptx
