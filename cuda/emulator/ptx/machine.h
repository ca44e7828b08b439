// SPDX-License-Identifier: Apache-2.0
// Runs one block: its warps one after the other, each until it waits.
#pragma once
#include "check.h"
#include "code.h"
#include "report.h"
#include "worker.h"

namespace emu::ptx {

// One call of a function by lanes of a warp.
struct Frame {
  const Function* function;
  Frame* caller;
  const Ins* call;   // in the caller
  uint32_t lanes;    // that are inside
  uint32_t local;    // start of its local memory, in that of every lane
  unsigned depth;
  char* registers;
  uint32_t* defined;  // check build: of every register, the lanes that have written it
  std::vector<char> memory;
};

enum class Wait : uint8_t { kNothing, kMeet, kBarrier, kMbarrier };

// Lanes of a warp that are at the same instruction of the same frame.
struct Strand {
  const Ins* pc;
  Frame* frame;
  uint32_t lanes;
  uint32_t mask;  // of a meeting it waits for
  Wait wait;
  uint8_t barrier;
  uint32_t jumps;  // back, since others came first
  const void* mbarrier;  // it waits for, and the parity of the phase
  uint32_t parity;
};

struct Warp {
  unsigned number;
  uint32_t alive;
  int strands;
  Strand strand[kWarpSize];
  uint32_t carry;   // of every lane: the condition code of add.cc and the like
  uint32_t fenced;  // lanes whose writes so far are ordered before their next atomic
  char* local;      // lane l's local memory is at local + l * kLocalBytes
  char* special;
};

struct BlockBarrier {
  uint32_t waiting[kMaxWarps], met[kMaxWarps];  // lanes; met: also those that have gone on (bar.arrive)
  unsigned arrived, needed;  // threads; needed 0 = all
  unsigned votes;
  const Ins* at;
};

constexpr size_t kLocalBytes = 256 << 10;  // of a lane
constexpr int kBarriers = 16;
constexpr bool kCheck =
#ifdef EMU_CHECK
    true;
#else
    false;
#endif

class Machine;

// What an operation works on
struct Context {
  char* base[kBases];
  Warp* warp;
  Machine* machine;
  Frame* frame;
};

template <class T>
T* values(const Context& c, const Operand& o) {
  return reinterpret_cast<T*>(c.base[o.base] + o.offset);
}

inline uint32_t predicate(const Context& c, const Operand& o) {
  const uint32_t bits = *values<uint32_t>(c, o);
  return o.negated ? ~bits : bits;
}
inline void set_predicate(const Context& c, const Operand& o, uint32_t lanes, uint32_t bits) {
  uint32_t& p = *values<uint32_t>(c, o);
  p = (p & ~lanes) | (bits & lanes);
}

// for (each lane of a mask)
template <class F>
inline __attribute__((always_inline)) void each_lane(uint32_t lanes, F f) {
  if (lanes == kFullMask) {
#pragma GCC ivdep
    for (unsigned l = 0; l < kWarpSize; l++) f(l);
  } else {
    for (; lanes; lanes &= lanes - 1) f(static_cast<unsigned>(__builtin_ctz(lanes)));
  }
}

// A part of the lanes that meet: those at one instruction.
struct Part {
  const Ins* i;
  Context c;
  uint32_t lanes;
};
struct Meeting {
  Machine& machine;
  Warp& warp;
  Part* part;
  int parts;
  uint32_t lanes;
};

class Machine {
 public:
  explicit Machine(Worker& worker);

  // Runs the worker's present block from start to end.
  void run(const Function& kernel, void** args);

  Worker& worker;
  const Image* image = nullptr;

  // The lane's thread is the one that the reports and the checks of the core are about.
  void speak_for(const Warp& w, unsigned lane) { self = &worker.fiber[w.number * kWarpSize + lane]; }
  void speak_for_lanes(const Warp& w, uint32_t lanes) { speak_for(w, static_cast<unsigned>(__builtin_ctz(lanes))); }
  Context context(Warp& w, Frame* frame) {
    return {{frame->registers, const_cast<char*>(frame->function->constant_base()), w.special, launch_}, &w, this, frame};
  }
  char* local_of(const Warp& w, unsigned lane) const { return w.local + lane * kLocalBytes; }
  char* local_start() const { return local_; }

  // The range of memory that was accessed last, for memory.cpp
  struct Range {
    char* start;
    size_t bytes;
    bool constant;
  } known[4];
  unsigned next_known = 0;
  char* reserved = nullptr;       // of shared memory, if the kernel looks at it: not checked, threads wait for each other by its values
  char* written_local = nullptr;  // check build: of every byte of local memory, whether it was written

 private:
  void prepare(const Function& kernel, void** args);
  void start_warp(Warp& w, const Function& kernel);
  void special_registers(Warp& w);
  Warp* next_warp();
  void run_warp(Warp& w);
  Strand* choose(Warp& w);
  void merge(Warp& w);
  const Ins* stop_of(const Warp& w, const Strand& s) const;
  bool advance(Warp& w, Strand& s);
  void split(Warp& w, Strand& s, const Ins* pc, uint32_t lanes);
  void branch_table(Warp& w, Strand& s, const Ins& i, uint32_t lanes);
  void call(Warp& w, Strand& s, const Ins& i, uint32_t lanes);
  void enter(Warp& w, Strand& s, const Ins& i, const Call& call, const Function& callee, uint32_t lanes);
  void give_back(Warp& w, Strand& s, uint32_t lanes);
  void exit_lanes(Warp& w, Strand& s, uint32_t lanes);
  void meet(Warp& w, Strand& s, const Ins& i, uint32_t lanes);
  bool complete_meeting(Warp& w, const Ins& i, uint32_t mask);
  void arrive(Warp& w, Strand& s, const Ins& i, uint32_t lanes);
  bool wait_mbarrier(Warp& w, Strand& s, const Ins& i, uint32_t lanes);
  bool still_waits(Strand& s);
  void release_if_complete(int barrier);
  void check_defined(Warp& w, const Context& c, const Ins& i, uint32_t lanes);
  Frame* take_frame(const Function& f);
  void leave_frame(Frame* frame, uint32_t lanes);
  void place_addresses(Warp& w, Frame* frame);
  [[noreturn]] void deadlock();

  std::vector<Warp> warps_;
  std::vector<Frame*> free_frames_, frames_;
  BlockBarrier barriers_[kBarriers];
  std::vector<char> special_, launch_memory_;
  char* launch_ = nullptr;
  char* local_;
  unsigned alive_ = 0;
  unsigned last_warp_ = 0;
  uint64_t tests_ = 0;  // of mbarriers, in vain
};

// ---- checks that operations ask for (checks.cpp). `what` begins with the operation.
[[noreturn]] void give_up_at(const Context& c, const Ins& i, unsigned lane, const char* format, ...)
    __attribute__((format(printf, 4, 5)));

}  // namespace emu::ptx
