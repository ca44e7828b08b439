// SPDX-License-Identifier: Apache-2.0
// The state of one native thread that runs blocks: its fibers (CUDA threads), warps, barrier, shared memory and copies.
//
// A block stays on one worker from start to end. Exactly one of its fibers runs at a time; a fiber runs until it waits at
// a barrier or a warp collective, or ends. So everything here is used by one native thread only, without locks.
#pragma once
#include <csignal>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "core.h"
#include "device_code.h"
#include "launch.h"
#include "options.h"
#include "tensor_map.h"

namespace emu {

constexpr unsigned kWarpSize = 32, kMaxWarps = kMaxThreads / kWarpSize;
constexpr uint32_t kFullMask = ~0u;

// ---- what a fiber waits for
enum class Op : uint8_t { kNone, kBlockBarrier, kWarpBarrier, kShuffle, kCombine, kLdmatrix, kLdmatrixTransposed, kMma, kMmaF16,
                         kMbarrier, kReduce };
// A reduction is kReduce + its kind, so that two different ones never match.
constexpr Op reduce_op(Reduce r) { return static_cast<Op>(static_cast<int>(Op::kReduce) + static_cast<int>(r)); }

struct Fiber : ThreadView {
  void* sp = nullptr;        // saved stack pointer while it waits
  void* argument = nullptr;  // of the collective it waits at: on its own stack, stable while it waits
  Site site;                 // where it waits, or last called the device
  Op op = Op::kNone;
  uint16_t stack = 0;  // which stack it runs on, once started
};

// Lanes that wait for each other at one warp collective.
struct Group {
  uint32_t mask, arrived;
  Op op;
  bool aligned;  // a .aligned instruction: all live lanes, same place
  Site site;
};

struct Warp {
  uint32_t alive, ready, started;  // lanes: not ended; runnable; have a stack
  int groups;
  Group group[kWarpSize];
};

struct Barrier {
  uint32_t arrived, votes;                   // being collected
  uint32_t released_arrived, released_votes;  // of the last release; nobody can pass the next one before reading these
  uint32_t waiting[kMaxWarps];
  Site site;
};

// ---- shared memory: one range of bytes each for the dynamic part and every DVL_SHARED, with red zones between
struct Arena {
  const void* key;
  char* start;
  size_t size;
  size_t zone;  // bytes of red zone behind it
  const char* name;
};
constexpr size_t kRedZone = 128, kSharedCapacity = 256 << 10;
constexpr int kRedZoneByte = 0xa5;

// ---- cp.async
struct Copy {
  char* to;
  const char* from;
  uint32_t bytes, valid, group;
  bool done;
  Site site;
};
struct CopyQueue {
  std::vector<Copy> copies;  // keeps its capacity from block to block
  uint32_t committed = 0;    // groups so far
};

// ---- mbarriers and bulk copies, in mbarrier.cpp and bulk_copy.cpp
constexpr unsigned kMaxMbarriers = 64;  // of a block
struct Mbarrier {
  const char* at;
  uint32_t arrivals, pending;  // of a phase; of them, still to come
  int64_t bytes;               // expected and not yet there
  uint32_t phases;             // complete ones
  uint32_t copies;             // on their way
  unsigned owner;              // the thread that initialised it
  bool visible;                // to copies: the owner has fenced
  uint32_t waiting[kMaxWarps];
};
struct BulkCopy {
  char* to;
  const char* from;
  uint32_t bytes;
  unsigned barrier;
  TensorMap map;  // if from is nullptr: the box at `at` of this
  int32_t at[kMaxTensorRank];
  Site site;
};

constexpr size_t kStackBytes = 64 << 10, kStackGuard = 4096;

struct CheckState;  // check build only

struct Worker {
  Job* job = nullptr;
  uint64_t block = 0;  // linear index of the running block
  unsigned threads = 0, warps = 0, alive = 0;
  uint32_t ready_warps = 0;  // warps with a ready lane
  unsigned current_warp = 0;
  bool gave_up = false;       // the running block was abandoned
  uint64_t yields = 0;        // in this block, since the last progress
  unsigned atomics = 0;       // so far; a spin without __nanosleep gives way now and then
  Order order = Order::kForward;  // options().order, read at every switch
  uint64_t random = 1;

  Warp warp[kMaxWarps];
  Fiber fiber[kMaxThreads];
  Barrier barrier;
  unsigned numbered[3] = {0, 0, 0};  // block shape for which fiber[].thread is right

  void* main_sp = nullptr;  // the worker's own context
  void* dead_sp = nullptr;  // where a context that never resumes is saved
  char* stacks = nullptr;
  unsigned prepared_stacks = 0, free_stacks = 0;
  uint16_t free_stack[kMaxThreads];
  char* landing_stack = nullptr;  // for the report after a fault

  char* shared = nullptr;  // start of dynamic shared memory, 1024-byte aligned
  size_t shared_used = 0;  // from `shared`, red zones included
  std::vector<Arena> arenas;
  CopyQueue copy_queue[kMaxThreads];
  std::vector<Mbarrier> mbarriers;   // of the running block
  std::vector<BulkCopy> bulk_copies;  // that have not taken place

  void* fault_address = nullptr;
  const void* fault_pc = nullptr;
  int fault_signal = 0;

  Statistics stats{};
  CheckState* check = nullptr;
};

extern constinit thread_local Worker* worker __attribute__((tls_model("initial-exec")));

inline Fiber* running() { return static_cast<Fiber*>(self); }

// A small generator (xorshift64*), seeded by run, launch and block, so that workers do not change the choices.
inline uint32_t next_random(Worker& w) {
  w.random ^= w.random >> 12;
  w.random ^= w.random << 25;
  w.random ^= w.random >> 27;
  return static_cast<uint32_t>(w.random * 0x2545f4914f6cdd1dull >> 32);
}

// ---- scheduler.cpp
void worker_prepare(Worker& w);              // memory for stacks, shared memory, signals; once a worker
void set_ready(Worker& w, unsigned warp, uint32_t lanes);
void wait_here(Worker& w);                   // the running fiber waits until it is ready again
void preempt_thread();                       // check build: lets another ready thread run
[[noreturn]] void abandon_block(Worker& w);  // back to the worker; the block's fibers are dropped where they stand

// ---- collectives.cpp, barrier.cpp, async_copy.cpp, shared_memory.cpp: what happens when a thread ends, a block starts or ends
void collectives_thread_exit(Worker& w, Fiber& f);
void barrier_thread_exit(Worker& w);
void copies_thread_exit(Worker& w, Fiber& f);
void shared_block_start(Worker& w);
void shared_block_end(Worker& w);

// ---- mbarrier.cpp, bulk_copy.cpp
Mbarrier& mbarrier_at(Worker& w, const void* barrier, const char* what, Site site);  // gives up where there is none
inline bool mbarrier_passed(const Mbarrier& m, uint32_t parity) { return (m.phases & 1) != (parity & 1); }
void mbarrier_settle(Worker& w, Mbarrier& m, Site site);  // ends the phase if nothing is missing
void mbarrier_lacks(const Worker& w, const Mbarrier& m, char* text, size_t capacity);  // for reports
bool do_bulk_copy(Worker& w);                             // one that is on its way; false: there is none
void bulk_copies_maybe(Worker& w);                        // as the option cp says
void bulk_copies_block_end(Worker& w);

// Is [p, p + n) inside one arena? Otherwise its name is nullptr.
const Arena* find_arena(const Worker& w, const void* p, size_t n);

}  // namespace emu
