// SPDX-License-Identifier: Apache-2.0
// Shared memory, byte by byte: bounds, reads of what was never written, races, copies in flight.
#include <cstring>

#include "check_state.h"

namespace emu::check {
namespace {

const char* verb(SharedAccess kind) {
  switch (kind) {
    case SharedAccess::kRead: return "read";
    case SharedAccess::kWrite: return "write";
    case SharedAccess::kAtomic: return "atomic";
    default: return "cp.async";
  }
}

// The arena whose end or start is nearest, for the report of an access outside all of them.
void report_outside(const Worker& w, const char* p, size_t n, SharedAccess kind, Place place) {
  const Arena* before = nullptr;
  for (const Arena& a : w.arenas)
    if (p >= a.start) before = &a;
  if (!before) found(place, "out of bounds: %s of %zu bytes before the start of shared memory", verb(kind), n);
  else
    found(place, "out of bounds: %s of %zu bytes at offset %td of %s, which has %zu bytes", verb(kind), n, p - before->start,
          before->name, before->size);
}

struct Byte {
  const Arena& arena;
  size_t offset;
  SharedShadow& shadow;
};

void mark_written(CheckState& c, unsigned me, SharedShadow& s, SharedAccess kind) {
  s.writer = now(c, me);
  s.written_atomic = kind == SharedAccess::kAtomic;
  s.readers = 0;
  s.state = kind == SharedAccess::kCopyIssue ? ByteState::kCopyInFlight : ByteState::kWritten;
}

void mark_read(Worker& w, unsigned me, SharedShadow& s) {
  const CheckState& c = *w.check;
  int slot = -1;
  for (int i = 0; i < SharedShadow::kReaders && slot < 0; i++)
    if (!(s.readers >> i & 1) || ordered(c, me, s.reader[i])) slot = i;
  if (slot < 0) slot = static_cast<int>(next_random(w) % SharedShadow::kReaders);  // forgets one: may miss a race
  s.reader[slot] = now(c, me);
  s.readers |= static_cast<uint8_t>(1 << slot);
}

// Reports what is wrong with an access to one byte. After a finding the byte counts as written now, or every later access
// to it would be reported as well.
bool byte_is_fine(Worker& w, unsigned me, const Byte& b, SharedAccess kind, Place place) {
  const CheckState& c = *w.check;
  SharedShadow& s = b.shadow;
  if (kind == SharedAccess::kCopyDone) return true;
  if (s.state == ByteState::kCopyInFlight) {
    found(place, "%s of %s+%zu, into which a cp.async of thread %u is in flight (not waited for)", verb(kind), b.arena.name,
          b.offset, s.writer.thread);
    return false;
  }
  if (s.state == ByteState::kNeverWritten) {
    if (kind != SharedAccess::kRead && kind != SharedAccess::kAtomic) return true;
    found(place, "%s of %s+%zu, which was never written", verb(kind), b.arena.name, b.offset);
    return false;
  }
  const bool both_atomic = kind == SharedAccess::kAtomic && s.written_atomic;
  if (!both_atomic && !ordered(c, me, s.writer) && s.writer.thread >= kMaxThreads) {
    found(place, "race: %s of %s+%zu, written by a bulk copy whose mbarrier this thread has not waited for", verb(kind), b.arena.name,
          b.offset);
    return false;
  }
  if (!both_atomic && !ordered(c, me, s.writer)) {
    found(place, "race: %s of %s+%zu, written by thread %u with no barrier between", verb(kind), b.arena.name, b.offset,
          s.writer.thread);
    return false;
  }
  if (kind == SharedAccess::kRead) return true;
  for (int i = 0; i < SharedShadow::kReaders; i++) {
    if (!(s.readers >> i & 1) || ordered(c, me, s.reader[i])) continue;
    found(place, "race: %s of %s+%zu, read by thread %u with no barrier between", verb(kind), b.arena.name, b.offset,
          s.reader[i].thread);
    return false;
  }
  return true;
}

}  // namespace

void reset_shared(Worker& w) {
  CheckState& c = *w.check;
  std::memset(static_cast<void*>(c.shared), 0, c.shared_dirty * sizeof(SharedShadow));
  c.shared_dirty = 0;
}

void shared_access(Worker& w, const char* p, size_t n, SharedAccess kind, Place place) {
  const Arena* arena = find_arena(w, p, n);
  if (!arena) {
    report_outside(w, p, n, kind, place);
    return;
  }
  CheckState& c = *w.check;
  const unsigned me = self->linear;
  const size_t first = static_cast<size_t>(p - w.shared);
  c.shared_dirty = std::max(c.shared_dirty, first + n);
  bool fine = true;  // at most one finding for an access
  for (size_t i = 0; i < n; i++) {
    SharedShadow& s = c.shared[first + i];
    const Byte byte{*arena, static_cast<size_t>(p - arena->start) + i, s};
    if (fine) fine = byte_is_fine(w, me, byte, kind, place);
    if (!fine || kind != SharedAccess::kRead) mark_written(c, me, s, kind);
    else mark_read(w, me, s);
  }
}

void bulk_copy_done(void* shared, size_t n, unsigned barrier) {
  const Worker& w = *worker;
  const Past writer{w.mbarriers[barrier].phases + 1, static_cast<uint16_t>(kMaxThreads + barrier)};
  SharedShadow* s = w.check->shared + (static_cast<char*>(shared) - w.shared);
  for (size_t i = 0; i < n; i++) {
    s[i].writer = writer;
    s[i].state = ByteState::kWritten;
    s[i].readers = 0;
    s[i].written_atomic = false;
  }
}

void copy_issued(void* shared, size_t n, Site site) {
  shared_access(*worker, static_cast<char*>(shared), n, SharedAccess::kCopyIssue, {nullptr, site});
}

void copy_done(void* shared, size_t n) {
  shared_access(*worker, static_cast<char*>(shared), n, SharedAccess::kCopyDone, {nullptr, Site()});
}

}  // namespace emu::check
