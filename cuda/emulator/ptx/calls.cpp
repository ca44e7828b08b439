// SPDX-License-Identifier: Apache-2.0
// Calls: the frames of functions, and how parameters and results get from one into another.
#include <algorithm>
#include <cstring>

#include "machine.h"

namespace emu::ptx {

Frame* Machine::take_frame(const Function& f) {
  Frame* frame;
  if (free_frames_.empty()) frames_.push_back(frame = new Frame());
  else frame = free_frames_.back(), free_frames_.pop_back();
  const size_t defined = kCheck ? f.registers * sizeof(uint32_t) : 0;
  if (frame->memory.size() < f.register_bytes + defined + 64) frame->memory.resize(f.register_bytes + defined + 64);
  frame->registers = reinterpret_cast<char*>((reinterpret_cast<uintptr_t>(frame->memory.data()) + 63) & ~uintptr_t{63});
  frame->defined = reinterpret_cast<uint32_t*>(frame->registers + f.register_bytes);
  std::memset(frame->registers, kPoison, f.register_bytes);
  if (kCheck) std::memset(frame->defined, 0, defined);
  frame->function = &f;
  return frame;
}

void Machine::leave_frame(Frame* frame, uint32_t lanes) {
  frame->lanes &= ~lanes;
  if (!frame->lanes) free_frames_.push_back(frame);
}

void Machine::call(Warp& w, Strand& s, const Ins& i, uint32_t lanes) {
  const Call& call = s.frame->function->calls[i.target];
  if (call.callee) return enter(w, s, i, call, *call.callee, lanes);
  // By address: groups of lanes with the same one
  const Context c = context(w, s.frame);
  const uint64_t* address = values<uint64_t>(c, i.o[0]);
  while (lanes) {
    const unsigned first = static_cast<unsigned>(__builtin_ctz(lanes));
    const Function* callee = nullptr;
    for (const auto& f : image->functions)
      if (f && !f->text->entry && reinterpret_cast<uint64_t>(f.get()) == address[first]) callee = f.get();
    if (!callee) give_up_at(c, i, first, "call of %#lx, which is no function", address[first]);
    if (callee->results.size() != call.results.size() || callee->parameters.size() != call.parameters.size())
      give_up_at(c, i, first, "call of %s with other parameters than it has", callee->text->name.c_str());
    uint32_t same = 0;
    each_lane(lanes, [&](unsigned l) { same |= static_cast<uint32_t>(address[l] == address[first]) << l; });
    lanes &= ~same;
    Strand* caller = &s;
    if (lanes) {
      split(w, s, s.pc, same);
      caller = &w.strand[w.strands - 1];
    }
    enter(w, *caller, i, call, *callee, same);
  }
}

namespace {

// Copies a variable of one frame into one of another, for every lane.
void hand_over(Machine& m, const Warp& w, uint32_t lanes, uint32_t from, Slot source, uint32_t to, Slot target) {
  const uint32_t n = std::min(source.bytes, target.bytes);
  each_lane(lanes, [&](unsigned l) {
    char* local = m.local_of(w, l);
    std::memcpy(local + to + target.offset, local + from + source.offset, n);
    if constexpr (kCheck) {
      char* written = m.written_local + (local - m.local_start());
      std::memcpy(written + to + target.offset, written + from + source.offset, n);
    }
  });
}

}  // namespace

void Machine::enter(Warp& w, Strand& s, const Ins& i, const Call& call, const Function& callee, uint32_t lanes) {
  Frame* caller = s.frame;
  const uint32_t local = caller->local + caller->function->local_bytes;
  if (local + callee.local_bytes > kLocalBytes || caller->depth > 10'000)
    give_up_at(context(w, caller), i, static_cast<unsigned>(__builtin_ctz(lanes)),
        "stack overflow: calls need more than %zu bytes of local memory",
               kLocalBytes);
  Frame* frame = take_frame(callee);
  frame->caller = caller;
  frame->call = &i;
  frame->lanes = lanes;
  frame->local = local;
  frame->depth = caller->depth + 1;
  place_addresses(w, frame);
  for (size_t p = 0; p < callee.parameters.size(); p++)
    hand_over(*this, w, lanes, caller->local, call.parameters[p], local, callee.parameters[p]);
  s.frame = frame;
  s.pc = callee.code.data();
}

void Machine::give_back(Warp& w, Strand& s, uint32_t lanes) {
  Frame* frame = s.frame;
  const Function& callee = *frame->function;
  const Call& call = frame->caller->function->calls[frame->call->target];
  for (size_t r = 0; r < callee.results.size(); r++)
    hand_over(*this, w, lanes, frame->local, callee.results[r], frame->caller->local, call.results[r]);
  s.pc = frame->call + 1;
  s.frame = frame->caller;
  leave_frame(frame, lanes);
}

// The registers that hold addresses of the frame's own variables
void Machine::place_addresses(Warp& w, Frame* frame) {
  const Function& f = *frame->function;
  for (const Function::Address& a : f.addresses) {
    auto* to = reinterpret_cast<uint64_t*>(frame->registers + a.offset);
    for (unsigned l = 0; l < kWarpSize; l++) to[l] = frame->local + a.local;
    if (kCheck) frame->defined[a.number] = kFullMask;
  }
  if (!kCheck) return;
  each_lane(frame->lanes, [&](unsigned l) { std::memset(written_local + (local_of(w, l) - local_) + frame->local, 0, f.local_bytes); });
}

}  // namespace emu::ptx
