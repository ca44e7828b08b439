// SPDX-License-Identifier: Apache-2.0
// Runs the threads of one block as fibers.
//
// A thread gets a stack when it starts. One that ends without ever waiting leaves its stack hot for the next thread, which
// is started from the same loop without a switch: kernels without barriers run almost as a plain loop over threads.
#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/asan_interface.h>
#endif

#include <immintrin.h>
#include <pthread.h>
#include <sys/mman.h>

#include <cstdlib>
#include <cstring>

#include "check.h"
#include "fiber.h"
#include "report.h"
#include "worker.h"

namespace emu {

constinit thread_local ThreadView* self = nullptr;
constinit thread_local BlockView view{};
constinit thread_local Worker* worker = nullptr;

namespace {

// A block whose threads only yield to each other this often waits for something that never comes.
constexpr uint64_t kMaxYields = 20'000'000;

inline unsigned pick_bit(Worker& w, uint32_t set) {
  if (w.order == Order::kForward) return __builtin_ctz(set);
  if (w.order == Order::kReverse) return 31 - __builtin_clz(set);
  return __builtin_ctz(_pdep_u32(1u << next_random(w) % __builtin_popcount(set), set));
}

inline Fiber* take(Worker& w, unsigned warp, unsigned lane) {
  w.warp[warp].ready &= ~(1u << lane);
  if (!w.warp[warp].ready) w.ready_warps &= ~(1u << warp);
  w.current_warp = warp;
  return &w.fiber[warp * kWarpSize + lane];
}

// The next thread to run, no longer marked ready; nullptr if all wait. Stays with a warp as long as it can.
inline Fiber* take_next(Worker& w) {
  while (!w.ready_warps)
    if (!w.alive || !do_bulk_copy(w)) return nullptr;
  unsigned warp = w.current_warp;
  if (!w.warp[warp].ready || w.order == Order::kRandom) warp = pick_bit(w, w.ready_warps);
  return take(w, warp, pick_bit(w, w.warp[warp].ready));
}

// The ready thread that follows `me` in cyclic order, so that spinning threads cannot starve the one they wait for.
Fiber* take_after(Worker& w, const Fiber& me) {
  if (w.order == Order::kRandom) return take_next(w);
  const uint32_t later_lanes = me.lane == 31 ? 0 : w.warp[me.warp].ready & (kFullMask << (me.lane + 1));
  if (later_lanes) return take(w, me.warp, __builtin_ctz(later_lanes));
  const uint32_t later_warps = me.warp == 31 ? 0 : w.ready_warps & (kFullMask << (me.warp + 1));
  const uint32_t warps = later_warps ? later_warps : w.ready_warps;
  if (!warps) return nullptr;
  const unsigned warp = __builtin_ctz(warps);
  return take(w, warp, __builtin_ctz(w.warp[warp].ready));
}

inline bool started(const Worker& w, const Fiber& f) { return w.warp[f.warp].started >> f.lane & 1; }

inline void mark_started(Worker& w, Fiber& f, uint16_t stack) {
  w.warp[f.warp].started |= 1u << f.lane;
  f.stack = stack;
  f.op = Op::kNone;
  f.site = Site();
}

// Stack tops differ by a few cache lines, or 32 lanes' frames would share the same sets of the L1 cache.
char* stack_top(const Worker& w, unsigned stack) {
  return w.stacks + (stack + 1) * (kStackBytes + kStackGuard) - stack * 5 % 64 * 64;
}

// A fiber that was given up leaves what the address sanitizer had marked of its frames (make sanitize).
void forget_frames([[maybe_unused]] const Worker& w, [[maybe_unused]] unsigned stack) {
#ifdef __SANITIZE_ADDRESS__
  __asan_unpoison_memory_region(w.stacks + stack * (kStackBytes + kStackGuard) + kStackGuard, kStackBytes);
#endif
}

uint16_t take_stack(Worker& w) {
  if (w.free_stacks) {
    const uint16_t used = w.free_stack[--w.free_stacks];
    forget_frames(w, used);
    return used;
  }
  const unsigned stack = w.prepared_stacks++;
  mprotect(w.stacks + stack * (kStackBytes + kStackGuard), kStackGuard, PROT_NONE);
  return static_cast<uint16_t>(stack);
}

void thread_main();

// Saves the present context and continues with `to`, or with the worker's own context if there is none.
inline void leave(Worker& w, void** save, Fiber* to) {
  self = to;
  w.stats.switches++;
  if (!to) {
    emu_switch(save, w.main_sp);
  } else if (started(w, *to)) {
    emu_switch(save, to->sp);
  } else {
    mark_started(w, *to, take_stack(w));
    emu_switch(save, new_context(stack_top(w, to->stack), thread_main));
  }
}

inline void thread_exit(Worker& w, Fiber& f) {
  Warp& warp = w.warp[f.warp];
  warp.alive &= ~(1u << f.lane);
  w.alive--;
  CopyQueue& copies = w.copy_queue[f.linear];
  if (!copies.copies.empty()) copies_thread_exit(w, f);
  copies.committed = 0;
  if (warp.groups) collectives_thread_exit(w, f);
  if (w.barrier.arrived) barrier_thread_exit(w);
}

// The bottom of every fiber stack: runs threads until the next one to run already has a stack of its own.
void thread_main() {
  Worker& w = *worker;
  const Kernel& kernel = *w.job->kernel;
  void** const args = w.job->args;
  for (;;) {
    Fiber& f = *running();
    kernel.thunk(kernel, args);
    thread_exit(w, f);
    Fiber* next = take_next(w);
    if (next && !started(w, *next)) {
      mark_started(w, *next, f.stack);
      self = next;
      continue;
    }
    w.free_stack[w.free_stacks++] = f.stack;
    leave(w, &w.dead_sp, next);
    std::abort();  // nobody resumes a dead context
  }
}

// threadIdx and the like depend on the block's shape only and are kept while it stays the same.
void number_threads(Worker& w) {
  const unsigned* shape = w.job->config.block;
  if (std::memcmp(w.numbered, shape, sizeof w.numbered) == 0) return;
  std::memcpy(w.numbered, shape, sizeof w.numbered);
  uint3 at{0, 0, 0};
  for (unsigned i = 0; i < w.threads; i++) {
    Fiber& f = w.fiber[i];
    f.thread = at;
    f.linear = i;
    f.lane = i % kWarpSize;
    f.warp = i / kWarpSize;
    if (++at.x == shape[0]) {
      at.x = 0;
      if (++at.y == shape[1]) {
        at.y = 0;
        ++at.z;
      }
    }
  }
}

void start_block(Worker& w, uint64_t block) {
  const Job& job = *w.job;
  const unsigned* grid = job.config.grid;
  w.block = block;
  view.block = {static_cast<unsigned>(block % grid[0]), static_cast<unsigned>(block / grid[0] % grid[1]),
                static_cast<unsigned>(block / grid[0] / grid[1])};
  view.block_dim = dim3(job.config.block[0], job.config.block[1], job.config.block[2]);
  view.grid_dim = dim3(grid[0], grid[1], grid[2]);
  w.threads = w.alive = job.threads;
  w.warps = (w.threads + kWarpSize - 1) / kWarpSize;
  w.gave_up = false;
  w.yields = 0;
  number_threads(w);
  for (unsigned i = 0; i < w.warps; i++) {
    const unsigned lanes = w.threads - i * kWarpSize;
    Warp& warp = w.warp[i];
    warp.alive = warp.ready = lanes >= kWarpSize ? kFullMask : (1u << lanes) - 1;
    warp.started = 0;
    warp.groups = 0;
  }
  w.ready_warps = w.warps == kMaxWarps ? kFullMask : (1u << w.warps) - 1;
  if (job.kernel->whole_block) {  // one fiber does it all
    w.alive = w.warp[0].alive = w.warp[0].ready = w.ready_warps = 1;
  }
  w.order = options().order;
  w.current_warp = w.order == Order::kReverse && !job.kernel->whole_block ? w.warps - 1 : 0;
  w.barrier.arrived = w.barrier.votes = 0;
  std::memset(w.barrier.waiting, 0, sizeof w.barrier.waiting);
  w.random = (options().seed * 0x9e3779b97f4a7c15ull ^ job.number * 0xbf58476d1ce4e5b9ull) + block * 0x94d049bb133111ebull;
  if (!w.random) w.random = 1;
  next_random(w);
  shared_block_start(w);
  check::block_start(w);
}

const char* describe(Op op) {
  switch (op) {
    case Op::kNone: return "nothing";
    case Op::kBlockBarrier: return "__syncthreads";
    case Op::kWarpBarrier: return "__syncwarp";
    case Op::kShuffle: return "a shuffle";
    case Op::kCombine: return "a warp sum, max or min";
    case Op::kLdmatrix:
    case Op::kLdmatrixTransposed: return "ldmatrix";
    case Op::kMma:
    case Op::kMmaF16: return "mma";
    case Op::kMbarrier: return "an mbarrier";
    default: return "a warp vote or reduction";
  }
}

// No thread can run and some are left: say who waits where, one entry for each run of threads at the same place.
void report_deadlock(Worker& w) {
  char text[400] = "";
  size_t used = 0;
  int shown = 0;
  const Fiber* last = nullptr;
  for (unsigned i = 0; i < w.threads && shown < 5; i++) {
    const Fiber& f = w.fiber[i];
    if (!(w.warp[f.warp].alive >> f.lane & 1)) continue;
    if (last && last->op == f.op && same_place(last->site, f.site)) continue;
    char lacks[100] = "";
    for (const Mbarrier& m : w.mbarriers)
      if (f.op == Op::kMbarrier && m.waiting[f.warp] >> f.lane & 1) mbarrier_lacks(w, m, lacks, sizeof lacks);
    used += std::snprintf(text + used, sizeof text - used, "%s thread %u on at line %u for %s", shown ? "," : "", i,
                          line_of(f.site), *lacks ? lacks : describe(f.op));
    used = std::min(used, sizeof text - 1);
    last = &f;
    shown++;
  }
  finding(last ? last->site : Site(), "deadlock: %u of %u threads wait:%s", w.alive, w.threads, text);
  w.gave_up = true;
}

// After a block was given up its fibers are just forgotten: all stacks are free again, all queues empty.
void drop_block(Worker& w) {
  w.free_stacks = 0;
  for (unsigned i = w.prepared_stacks; i > 0; i--) w.free_stack[w.free_stacks++] = static_cast<uint16_t>(i - 1);
  for (unsigned i = 0; i < w.threads; i++) {
    w.copy_queue[i].copies.clear();
    w.copy_queue[i].committed = 0;
  }
}

}  // namespace

void set_ready(Worker& w, unsigned warp, uint32_t lanes) {
  if (!lanes) return;
  w.warp[warp].ready |= lanes;
  w.ready_warps |= 1u << warp;
  w.yields = 0;  // somebody got further
}

void wait_here(Worker& w) {
  Fiber* const me = running();
  Fiber* const next = take_next(w);
  if (next != me) leave(w, &me->sp, next);  // else a bulk copy has ended its wait
}

void yield_thread(Site site) {
  if (++worker->yields > kMaxYields) give_up(site, "a thread spins for something that never comes");
  preempt_thread();
}

void preempt_thread() {
  Worker& w = *worker;
  Fiber& me = *running();
  Fiber* next = take_after(w, me);
  if (!next) return;
  w.warp[me.warp].ready |= 1u << me.lane;
  w.ready_warps |= 1u << me.warp;
  leave(w, &me.sp, next);
}

void abandon_block(Worker& w) {
  w.gave_up = true;
  leave(w, &w.dead_sp, nullptr);
  std::abort();
}

void run_block(Worker& w, uint64_t block) {
  start_block(w, block);
  leave(w, &w.main_sp, take_next(w));
  if (w.alive && !w.gave_up) report_deadlock(w);
  if (w.gave_up) {
    drop_block(w);
    w.job->failed = true;
  } else {
    bulk_copies_block_end(w);
    shared_block_end(w);
    check::block_end(w);
  }
  w.stats.blocks++;
  w.stats.threads += w.threads;
}

void worker_prepare(Worker& w) {
  constexpr int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;
  const auto map = [](size_t bytes) {
    void* p = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, flags, -1, 0);
    if (p == MAP_FAILED) std::abort();
    return static_cast<char*>(p);
  };
  w.stacks = map(kMaxThreads * (kStackBytes + kStackGuard));
  // A page before and behind shared memory faults; dynamic shared memory starts 1024-aligned behind the first red zone.
  char* range = map(kSharedCapacity + 3 * kStackGuard);
  mprotect(range, kStackGuard, PROT_NONE);
  mprotect(range + 2 * kStackGuard + kSharedCapacity, kStackGuard, PROT_NONE);
  w.shared = range + 2 * kStackGuard;
  constexpr size_t landing = 256 << 10;
  w.landing_stack = map(landing) + landing;
  // A fault may be an overflow of the fiber's own stack, so the handler needs another one.
  stack_t alternative{};
  alternative.ss_size = 64 << 10;
  alternative.ss_sp = map(alternative.ss_size);
  sigaltstack(&alternative, nullptr);
  check::prepare(w);
}

}  // namespace emu
