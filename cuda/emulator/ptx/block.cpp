// SPDX-License-Identifier: Apache-2.0
// The start of a block, its barriers, the meetings of a warp, and what is reported about them.
#include <cstdarg>
#include <cstring>

#include "function_decoder.h"
#include "machine.h"

namespace emu::ptx {

void Machine::prepare(const Function& kernel, void** args) {
  image = kernel.image;
  free_frames_ = frames_;  // a block that was given up has kept some
  std::memset(barriers_, 0, sizeof barriers_);
  for (Range& r : known) r = {};
  alive_ = worker.threads;
  tests_ = 0;
  last_warp_ = worker.order == Order::kReverse ? 0 : worker.warps - 1;

  // Symbols of this launch: addresses of shared variables, then of the kernel's parameters
  const size_t shared = image->shared.size(), parameters = kernel.text->parameters;
  launch_memory_.resize((shared + parameters) * kLaunchSlot + 64);
  launch_ = reinterpret_cast<char*>((reinterpret_cast<uintptr_t>(launch_memory_.data()) + 63) & ~uintptr_t{63});
  const auto set = [&](size_t slot, uint64_t value) {
    auto* wide = reinterpret_cast<uint64_t*>(launch_ + slot * kLaunchSlot);
    auto* narrow = reinterpret_cast<uint32_t*>(wide + kWarpSize);
    for (unsigned l = 0; l < kWarpSize; l++) wide[l] = value, narrow[l] = static_cast<uint32_t>(value);
  };
  reserved = nullptr;
  for (uint32_t i : kernel.shared) {
    const Variable& v = *image->shared[i];
    const void* at = v.bytes == 0 || v.external ? dynamic_shared() : static_shared(&v, v.bytes, v.align, v.name.c_str());
    set(i, static_cast<uint64_t>(static_cast<const char*>(at) - worker.shared));
    if (i == 0) reserved = static_cast<char*>(std::memset(const_cast<void*>(at), 0, kReservedShared));
  }
  for (size_t i = 0; i < parameters; i++) set(shared + i, reinterpret_cast<uint64_t>(args[i]));

  special_.resize(worker.warps * kSpecialRegisters.size() * kSpecialSlot + 64);
  for (unsigned i = 0; i < worker.warps; i++) start_warp(warps_[i], kernel);
}

void Machine::start_warp(Warp& w, const Function& kernel) {
  w.number = static_cast<unsigned>(&w - warps_.data());
  const unsigned lanes = worker.threads - w.number * kWarpSize;
  w.alive = lanes >= kWarpSize ? kFullMask : (1u << lanes) - 1;
  w.fenced = w.carry = 0;
  w.local = local_ + w.number * kWarpSize * kLocalBytes;
  special_registers(w);
  Frame* frame = take_frame(kernel);
  frame->caller = nullptr;
  frame->call = nullptr;
  frame->lanes = w.alive;
  frame->local = 0;
  frame->depth = 0;
  place_addresses(w, frame);
  w.strands = 1;
  w.strand[0] = {kernel.code.data(), frame, w.alive, 0, Wait::kNothing, 0, 0, nullptr, 0};
}

void Machine::special_registers(Warp& w) {
  const uintptr_t start = (reinterpret_cast<uintptr_t>(special_.data()) + 63) & ~uintptr_t{63};
  w.special = reinterpret_cast<char*>(start) + w.number * kSpecialRegisters.size() * kSpecialSlot;
  const Job& job = *worker.job;
  size_t shared = 0;
  for (const Arena& a : worker.arenas) shared += a.size;
  auto* value = reinterpret_cast<uint32_t(*)[kWarpSize]>(w.special);
  for (unsigned l = 0; l < kWarpSize; l++) {
    const Fiber& f = worker.fiber[std::min(w.number * kWarpSize + l, worker.threads - 1)];
    const uint32_t bit = 1u << l;
    const uint32_t of_lane[] = {f.thread.x, f.thread.y, f.thread.z, job.config.block[0], job.config.block[1], job.config.block[2],
                                view.block.x, view.block.y, view.block.z, job.config.grid[0], job.config.grid[1], job.config.grid[2],
                                l, w.number, worker.warps, 0, 1, static_cast<uint32_t>(job.number),
                                bit, bit | (bit - 1), bit - 1, ~(bit - 1), ~(bit | (bit - 1)),
                                static_cast<uint32_t>(job.config.dynamic_smem), static_cast<uint32_t>(shared),
                                0, 0};  // of a grid whose blocks can wait for each other: this one is none
    static_assert(sizeof of_lane / sizeof *of_lane == 27);
    for (size_t r = 0; r < std::size(of_lane); r++) value[r][l] = of_lane[r];
  }
}

// ---- barriers of the block
void Machine::arrive(Warp& w, Strand& s, const Ins& i, uint32_t lanes) {
  const Context c = context(w, s.frame);
  const unsigned first = static_cast<unsigned>(__builtin_ctz(lanes));
  const auto vote = static_cast<BarrierVote>(i.detail[0]);
  const bool waits = i.detail[1] == 0, counted = i.detail[2] != 0;
  const Operand* sources = i.o + i.results;
  const uint32_t id = *(values<uint32_t>(c, sources[0]) + first);
  const unsigned needed = counted ? *(values<uint32_t>(c, sources[1]) + first) : 0;
  speak_for(w, first);
  if (id >= kBarriers) give_up_at(c, i, first, "barrier %u; there are %d", id, kBarriers);
  if (needed % kWarpSize) give_up_at(c, i, first, "a barrier of %u threads, which is no multiple of a warp", needed);
  BlockBarrier& b = barriers_[id];
  const Site site = site_of(c, i);
  if (b.arrived && b.needed != needed) give_up_at(c, i, first, "barrier %u of %u threads, others wait at it for %u", id, needed, b.needed);
  if (options().strict && !counted && id == 0) {
    if (alive_ != worker.threads && (kCheck || options().strict > 1))
      finding(site, "__syncthreads after %u threads of the block have ended", worker.threads - alive_);
    if (b.arrived && b.at != &i)
      finding(site, "threads of one block meet at different __syncthreads: others wait at line %u", line_of(site_of(c, *b.at)));
  }
  b.needed = needed;
  b.at = &i;
  if (vote != BarrierVote::kNone) b.votes += static_cast<unsigned>(__builtin_popcount(predicate(c, sources[counted ? 2 : 1]) & lanes));
  b.arrived += lanes == w.alive && counted ? kWarpSize : static_cast<unsigned>(__builtin_popcount(lanes));
  b.met[w.number] |= lanes;
  if (waits) {
    b.waiting[w.number] |= lanes;
    s.wait = Wait::kBarrier;
    s.barrier = static_cast<uint8_t>(id);
  } else {
    s.pc++;
  }
  release_if_complete(static_cast<int>(id));
}

void Machine::release_if_complete(int id) {
  BlockBarrier& b = barriers_[id];
  if (!b.arrived || b.arrived < (b.needed ? b.needed : alive_)) return;
  check::synchronise(worker, b.met);
  for (unsigned n = 0; n < worker.warps; n++) {
    Warp& w = warps_[n];
    if (!b.waiting[n]) continue;
    for (int k = 0; k < w.strands; k++) {
      Strand& s = w.strand[k];
      if (s.wait != Wait::kBarrier || s.barrier != id) continue;
      const Ins& i = *s.pc;
      const Context c = context(w, s.frame);
      switch (static_cast<BarrierVote>(i.detail[0])) {
        case BarrierVote::kNone: break;
        case BarrierVote::kAnd: set_predicate(c, i.o[0], s.lanes, b.votes == b.arrived ? kFullMask : 0); break;
        case BarrierVote::kOr: set_predicate(c, i.o[0], s.lanes, b.votes ? kFullMask : 0); break;
        case BarrierVote::kCount: each_lane(s.lanes, [&](unsigned l) { values<uint32_t>(c, i.o[0])[l] = b.votes; });
      }
      s.wait = Wait::kNothing;
      s.pc++;
    }
  }
  worker.stats.barriers++;
  b = BlockBarrier{};
}

// ---- meetings of lanes of a warp
void Machine::meet(Warp& w, Strand& s, const Ins& i, uint32_t lanes) {
  const Context c = context(w, s.frame);
  const unsigned first = static_cast<unsigned>(__builtin_ctz(lanes));
  worker.stats.collectives++;
  speak_for(w, first);
  s.mask = kFullMask;
  if (i.mask) {
    const uint32_t* mask = values<uint32_t>(c, i.o[i.mask]);
    s.mask = mask[first];
    uint32_t same = 0;
    each_lane(lanes, [&](unsigned l) { same |= static_cast<uint32_t>(mask[l] == s.mask) << l; });
    if (same != lanes) split(w, s, s.pc, lanes & ~same);
    const uint32_t outside = same & ~s.mask;
    if (outside)
      give_up_at(c, i, static_cast<unsigned>(__builtin_ctz(outside)), "the mask %08x of lanes leaves out one that is here", s.mask);
  }
  if (i.aligned && !i.mask && w.alive != kFullMask)
    give_up_at(c, i, first, "an instruction of the whole warp, but only lanes %08x are left", w.alive);
  s.wait = Wait::kMeet;
  complete_meeting(w, i, s.mask);
}

// Does it if all lanes of the mask that are left are there. Lanes may be at different instructions of the same kind, if it is not .aligned.
bool Machine::complete_meeting(Warp& w, const Ins& i, uint32_t mask) {
  Part part[kWarpSize];
  Strand* strand[kWarpSize];
  int parts = 0;
  uint32_t here = 0;
  for (int k = 0; k < w.strands; k++) {
    Strand& s = w.strand[k];
    if (s.wait != Wait::kMeet || s.mask != mask || s.pc->meet != i.meet) continue;
    if (s.pc != &i && i.aligned) {
      speak_for_lanes(w, s.lanes);
      give_up_at(context(w, s.frame), *s.pc, static_cast<unsigned>(__builtin_ctz(s.lanes)),
                 "the warp diverged: others wait at another such instruction at line %u", line_of(site_of(context(w, s.frame), i)));
    }
    strand[parts] = &s;
    part[parts++] = {s.pc, context(w, s.frame), s.lanes};
    here |= s.lanes;
  }
  if (here != (mask & w.alive)) return false;
  Meeting meeting{*this, w, part, parts, here};
  speak_for_lanes(w, here);
  i.meet(meeting);
  for (int k = 0; k < parts; k++) {
    strand[k]->wait = Wait::kNothing;
    strand[k]->pc++;
  }
  return true;
}

void Machine::deadlock() {
  char text[400] = "";
  size_t used = 0;
  int shown = 0;
  Site site;
  for (unsigned n = 0; n < worker.warps && shown < 5; n++) {
    Warp& w = warps_[n];
    for (int k = 0; k < w.strands && shown < 5; k++, shown++) {
      const Strand& s = w.strand[k];
      speak_for_lanes(w, s.lanes);
      site = site_of(context(w, s.frame), *s.pc);
      char lacks[100];
      std::snprintf(lacks, sizeof lacks, "%s", s.pc->text->opcode.c_str());
      for (const Mbarrier& m : worker.mbarriers)
        if (s.wait == Wait::kMbarrier && m.at == s.mbarrier) mbarrier_lacks(worker, m, lacks, sizeof lacks);
      used += static_cast<size_t>(std::snprintf(text + used, sizeof text - used, "%s warp %u lanes %08x at line %u for %s", shown ? ","
          : "", n, s.lanes, line_of(site), lacks));
      used = std::min(used, sizeof text - 1);
    }
  }
  give_up(site, "deadlock: %u of %u threads wait:%s", alive_, worker.threads, text);
}

// ---- reports
void give_up_at(const Context& c, const Ins& i, unsigned lane, const char* format, ...) {
  char message[360];
  va_list list;
  va_start(list, format);
  std::vsnprintf(message, sizeof message, format, list);
  va_end(list);
  c.machine->speak_for(*c.warp, lane);
  give_up(site_of(c, i), "%s (lane %u, PTX line %u: %s)", message, lane, i.text->place.ptx_line, i.text->opcode.c_str());
}

void undefined_register(const Context& c, const Ins& i, unsigned lane, uint32_t number) {
  const auto& names = c.frame->function->text->registers;
  const char* name = number < names.size() ? names[number].name.c_str() : "of an address";
  give_up_at(c, i, lane, "the value of register %s was never written", name);
}

// Every operand must have been written by the lanes that read it. What only copies passes the question on.
void Machine::check_defined(Warp& w, const Context& c, const Ins& i, uint32_t lanes) {
  uint32_t* defined = c.frame->defined;
  const auto undefined = [&](uint32_t number, uint32_t readers) {
    const uint32_t missing = number == kNoRegister ? 0 : readers & ~defined[number];
    if (missing) undefined_register(c, i, static_cast<unsigned>(__builtin_ctz(missing)), number);
  };
  uint32_t m = lanes;
  if (i.guarded) {
    undefined(i.guard_number, lanes);
    const uint32_t p = *reinterpret_cast<const uint32_t*>(c.base[kRegisters] + i.guard);
    m &= i.guard_negated ? ~p : p;
  }
  (void)w;
  uint32_t passed = m, some = 0;
  for (int k = i.results; k < i.operands; k++) {
    if (i.passes_some && i.o[k].number != kNoRegister) some |= defined[i.o[k].number];
    else if (i.passes_some) some = kFullMask;
    else if (i.checks_sources && k > i.results) continue;
    else if (i.passes_undefined && i.o[k].number != kNoRegister) passed &= defined[i.o[k].number];
    else undefined(i.o[k].number, m);
  }
  if (i.passes_some) passed &= some;
  for (int k = 0; k < i.results; k++) {
    uint32_t& d = defined[i.o[k].number];
    d = (d & ~m) | passed;
  }
}

}  // namespace emu::ptx
