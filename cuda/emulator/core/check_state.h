// SPDX-License-Identifier: Apache-2.0
// The check build's shadow of a block: who touched what when, and what happens before what.
//
// Every thread counts epochs: 1 at the start of its block, one more after each synchronisation. A clock says up to which
// epoch of every other thread things happened before "now". Threads that met at a barrier share one clock (they then know
// the same), so a barrier costs one clock for all, and an access compares two numbers. What a bulk copy writes counts as written by its
// mbarrier: one more thread, whose epochs are the phases.
#pragma once
#include <cstddef>
#include <cstdint>

#include "check.h"
#include "worker.h"

namespace emu {

struct Clock {
  uint32_t references;
  uint32_t seen[kMaxThreads + kMaxMbarriers];  // epochs of other threads that happened before
};

// An access that later ones must be ordered against.
struct Past {
  uint32_t epoch;
  uint16_t thread;
};

// What happened before the arrivals of the present phase, and before the end of the last one.
struct MbarrierClock {
  Past initialised;
  uint32_t arrived[kMaxThreads + kMaxMbarriers], ended[kMaxThreads + kMaxMbarriers];
};

struct ThreadClock {
  Clock* clock;  // nullptr: nothing seen yet
  uint32_t epoch;
};

enum class ByteState : uint8_t { kNeverWritten, kWritten, kCopyInFlight };

// Of one byte of shared memory.
struct SharedShadow {
  static constexpr int kReaders = 3;
  Past writer;
  Past reader[kReaders];  // reads since the last write that are not ordered before a later read
  ByteState state;
  uint8_t readers;      // bits: which of reader[] are in use
  bool written_atomic;  // by an atomic: other atomics need no order
};

struct CheckState {
  ThreadClock thread[kMaxThreads];
  SharedShadow* shared;    // kSharedCapacity of them, all zero for unused bytes
  size_t shared_dirty;     // how many may be in use
  MbarrierClock* mbarrier[kMaxMbarriers];  // nullptr: not used so far
  Clock* free_clocks;      // each keeps the next one in its own memory
};

namespace check {

// Did this happen before what the running thread does now?
inline bool ordered(const CheckState& c, unsigned me, Past past) {
  if (past.thread == me) return true;
  const Clock* clock = c.thread[me].clock;
  return clock && past.epoch <= clock->seen[past.thread];
}
inline Past now(const CheckState& c, unsigned me) { return {c.thread[me].epoch, static_cast<uint16_t>(me)}; }

// Where in the kernel an access is: a call of the device (site) or an instruction (pc).
struct Place {
  const void* pc;
  Site site;
};
void found(Place place, const char* format, ...) __attribute__((format(printf, 2, 3)));

// Part of an access to shared memory: a kernel's own, or one end of a cp.async.
enum class SharedAccess : uint8_t { kRead, kWrite, kAtomic, kCopyIssue, kCopyDone };
void shared_access(Worker& w, const char* p, size_t n, SharedAccess kind, Place place);
void reset_shared(Worker& w);

// Order between blocks. Did `past` of that block happen before it arrived at a counter at which the running thread's block came later?
void grid_launch_start();
void grid_block_start();
bool arrived_before(const CheckState& c, unsigned me, uint64_t block, Past past);

void global_access(Worker& w, const char* p, size_t n, Access kind, Place place);

// Is p in the shared memory of this worker, red zones and guard pages included?
inline bool is_shared(const Worker& w, const char* p) {
  return static_cast<size_t>(p - (w.shared - kStackGuard)) < kSharedCapacity + 2 * kStackGuard;
}

}  // namespace check
}  // namespace emu
