// SPDX-License-Identifier: Apache-2.0
#include "memory.h"

#include <cstring>

#include "decoder.h"
#include "module.h"

namespace emu::ptx {
namespace {

const char* verb(Access kind) { return kind == Access::kRead ? "read" : kind == Access::kWrite ? "write" : "atomic"; }

[[noreturn]] void illegal(const Context& c, const Ins& i, unsigned lane, uint64_t address, size_t n, Access kind) {
  const auto* p = reinterpret_cast<const void*>(address);
  char near[120];
  describe_address(p, near, sizeof near);
  c.machine->worker.job->illegal = true;
  give_up_at(c, i, lane, "illegal address: %s of %zu bytes at %p, outside device memory%s", verb(kind), n, p, near);
}

bool constant(const Context& c, const char* p) {
  for (const Global& g : c.machine->image->globals)
    if (g.variable->space == Space::kConst && static_cast<size_t>(p - g.address) < g.variable->bytes) return true;
  return false;
}

// Global memory: one of the device's allocations (constants are among them), the kernel's parameters or pinned host memory.
char* global(const Context& c, const Ins& i, unsigned lane, uint64_t address, size_t n, Access kind) {
  Machine& m = *c.machine;
  char* p = reinterpret_cast<char*>(address);
  const bool writes = kind != Access::kRead;
  for (const Machine::Range& r : m.known)
    if (static_cast<size_t>(p - r.start) < r.bytes && n <= r.bytes - static_cast<size_t>(p - r.start) && !(writes && r.constant)) return p;
  void* start;
  size_t bytes;
  const Job& job = *m.worker.job;
  if (device_find(p, &start, &bytes)) {
    const bool is_constant = constant(c, p);
    if (writes && is_constant) give_up_at(c, i, lane, "%s of constant memory", verb(kind));
    if (n > bytes - static_cast<size_t>(p - static_cast<char*>(start))) illegal(c, i, lane, address, n, kind);
    m.known[m.next_known++ % std::size(m.known)] = {static_cast<char*>(start), bytes, is_constant};
    return p;
  }
  if (!writes && static_cast<size_t>(p - reinterpret_cast<const char*>(job.arg_bytes)) < sizeof job.arg_bytes - n) return p;
  if (!host_memory_contains(p, n)) illegal(c, i, lane, address, n, kind);
  return p;
}

char* shared(const Context& c, const Ins& i, unsigned lane, uint64_t offset, size_t n, Access kind) {
  const Worker& w = c.machine->worker;
  char* p = w.shared + offset;
  if (offset < kSharedCapacity && find_arena(w, p, n)) return p;
  const Arena* before = nullptr;
  for (const Arena& a : w.arenas)
    if (offset < kSharedCapacity && p >= a.start) before = &a;
  if (before)
    give_up_at(c, i, lane, "out of bounds: %s of %zu bytes at offset %td of %s, which has %zu bytes", verb(kind), n, p - before->start,
               before->name, before->size);
  give_up_at(c, i, lane, "out of bounds: %s of %zu bytes at shared address %#lx", verb(kind), n, offset);
}

char* local(const Context& c, const Ins& i, unsigned lane, uint64_t offset, size_t n, Access kind) {
  const Frame& f = *c.frame;
  if (offset > kLocalBytes || offset + n > f.local + f.function->local_bytes)
    give_up_at(c, i, lane, "out of bounds: %s of %zu bytes at local address %#lx, %u bytes of local memory are in use", verb(kind), n,
        offset,
               f.local + f.function->local_bytes);
  return c.machine->local_of(*c.warp, lane) + offset;
}

char* written_flags(const Context& c, const char* p) { return c.machine->written_local + (p - c.machine->local_start()); }

void check_local(const Context& c, const Ins& i, unsigned lane, const char* p, size_t n, Access kind) {
  if (kind == Access::kWrite) std::memset(written_flags(c, p), 1, n);
  else if (!was_written(c, p, n)) give_up_at(c, i, lane, "read of local memory that was never written");
}

}  // namespace

Space space_of_generic(const Context& c, uint64_t address) {
  const Machine& m = *c.machine;
  const char* p = reinterpret_cast<const char*>(address);
  if (static_cast<size_t>(p - m.worker.shared) < kSharedCapacity) return Space::kShared;
  if (static_cast<size_t>(p - m.local_start()) < kMaxThreads * kLocalBytes) return Space::kLocal;
  return Space::kGlobal;
}

bool is_local(const Context& c, Space space, uint64_t address) {
  return space == Space::kLocal || (space == Space::kGeneric && space_of_generic(c, address) == Space::kLocal);
}

bool was_written(const Context& c, const char* local, size_t n) { return !std::memchr(written_flags(c, local), 0, n); }
void forget_written(const Context& c, const char* local, size_t n) { std::memset(written_flags(c, local), 0, n); }

bool in_constants(const Context& c, uint64_t address) { return constant(c, reinterpret_cast<const char*>(address)); }

char* locate(const Context& c, const Ins& i, unsigned lane, Space& space, uint64_t address, size_t n, Access kind) {
  if (address % n) give_up_at(c, i, lane, "misaligned %s: address %#lx is no multiple of %zu", verb(kind), address, n);
  if (space == Space::kGeneric) {
    space = space_of_generic(c, address);
    if (space == Space::kShared) address -= reinterpret_cast<uint64_t>(c.machine->worker.shared);
    if (space == Space::kLocal) {
      address -= reinterpret_cast<uint64_t>(c.machine->local_of(*c.warp, lane));
      if (address >= kLocalBytes) give_up_at(c, i, lane, "%s of another thread's local memory", verb(kind));
    }
  }
  switch (space) {
    case Space::kShared: return shared(c, i, lane, address, n, kind);
    case Space::kLocal: return local(c, i, lane, address, n, kind);
    default: return global(c, i, lane, address, n, kind);
  }
}

char* reach(const Context& c, const Ins& i, unsigned lane, Space space, uint64_t address, size_t n, Access kind) {
  char* p = locate(c, i, lane, space, address, n, kind);
  if constexpr (kCheck) {
    c.machine->speak_for(*c.warp, lane);
    if (space == Space::kShared && static_cast<size_t>(p - c.machine->reserved) < kReservedShared) return p;
    if (space == Space::kLocal) check_local(c, i, lane, p, n, kind);
    else if (static_cast<size_t>(p - reinterpret_cast<char*>(c.machine->worker.job->arg_bytes)) >= sizeof c.machine->worker.job->arg_bytes)
      check::touch(p, n, kind, site_of(c, i));
  }
  return p;
}

void addresses_of(const Context& c, const Ins& i, const Operand& o, uint64_t (&address)[kWarpSize]) {
  if (o.bits == 32) {
    const uint32_t* a = values<uint32_t>(c, o);
    for (unsigned l = 0; l < kWarpSize; l++) address[l] = a[l] + static_cast<uint32_t>(i.immediate);  // wraps at 32 bits
  } else {
    const uint64_t* a = values<uint64_t>(c, o);
    for (unsigned l = 0; l < kWarpSize; l++) address[l] = a[l] + static_cast<uint64_t>(i.immediate);
  }
}

void take_address(Decoder& d, const Arg& a) {
  d.address(a);
  d.out.immediate = 0;
  Arg distance;
  distance.form = Arg::kInteger;
  distance.bits = static_cast<uint64_t>(a.offset);
  d.source(distance, Type{Kind::kUnsigned, 64, 1});
}

uint64_t address_of(const Context& c, const Operand* o, unsigned lane) {
  const uint64_t distance = values<uint64_t>(c, o[1])[lane];
  if (o->bits == 32) return values<uint32_t>(c, *o)[lane] + static_cast<uint32_t>(distance);
  return values<uint64_t>(c, *o)[lane] + distance;
}

Space take_space(Decoder& d) {
  constexpr Space spaces[] = {Space::kGlobal, Space::kShared, Space::kShared, Space::kLocal, Space::kConst, Space::kParam, Space::kParam,
      Space::kParam};
  const int n = d.take_one({"global", "shared", "shared::cta", "local", "const", "param", "param::entry", "param::func"});
  return n < 0 ? Space::kGeneric : spaces[n];
}

void take_hints(Decoder& d) {
  d.drop_prefixed("L1::");
  d.drop_prefixed("L2::");
  d.take_one({"weak", "volatile", "relaxed", "acquire", "release", "acq_rel", "mmio"});
  d.take_one({"cta", "cluster", "gpu", "sys"});
  d.take_one({"ca", "cg", "cs", "lu", "cv", "wb", "wt", "nc"});
  d.take("nc");
}

}  // namespace emu::ptx
