// SPDX-License-Identifier: Apache-2.0
// Shared memory of the running block: poisoned at its start, with red zones that are verified at its end.
#include <cstring>

#include "report.h"
#include "worker.h"

namespace emu {
namespace {

void add_arena(Worker& w, const void* key, char* start, size_t size, const char* name) {
  std::memset(start, kPoison, size);
  std::memset(start + size, kRedZoneByte, kRedZone);
  w.arenas.push_back({key, start, size, kRedZone, name});
  w.shared_used = static_cast<size_t>(start - w.shared) + size + kRedZone;
}

// The first byte of [p, p + n) that is no longer as the red zone was filled, or -1.
long first_change(const char* p, size_t n) {
  for (size_t i = 0; i < n; i++)
    if (static_cast<unsigned char>(p[i]) != kRedZoneByte) return static_cast<long>(i);
  return -1;
}

// The device limits the static part, and both parts together: to more only for a kernel that has opted in.
void check_limits(const Worker& w, size_t size, const char* name) {
  const LaunchConfig& config = w.job->config;
  size_t total = size;
  for (const Arena& a : w.arenas) total += a.size;
  const size_t limit = config.max_dynamic_smem > kDefaultSharedMemory ? gpu().max_shared_memory() : kDefaultSharedMemory;
  if (total - config.dynamic_smem > kDefaultSharedMemory || total > limit)
    give_up(Site(), "%s makes it %zu bytes of shared memory, %zu of them dynamic; the limits are %zu in all, %zu static", name,
            total, config.dynamic_smem, limit, kDefaultSharedMemory);
}

}  // namespace

void shared_block_start(Worker& w) {
  w.arenas.clear();
  w.mbarriers.clear();
  w.bulk_copies.clear();
  std::memset(w.shared - kRedZone, kRedZoneByte, kRedZone);
  add_arena(w, nullptr, w.shared, w.job->config.dynamic_smem, "dynamic shared memory");
}

void shared_block_end(Worker& w) {
  if (first_change(w.shared - kRedZone, kRedZone) >= 0) finding(Site(), "write before the start of dynamic shared memory");
  for (const Arena& a : w.arenas) {
    const long at = first_change(a.start + a.size, a.zone);
    if (at >= 0) finding(Site(), "red zone overwritten: write %ld bytes past the end of %s (%zu bytes)", at, a.name, a.size);
  }
}

void* dynamic_shared() { return worker->shared; }

void* static_shared(const void* key, size_t size, size_t align, const char* name) {
  Worker& w = *worker;
  for (const Arena& a : w.arenas)
    if (a.key == key) return a.start;
  size_t offset = (w.shared_used + align - 1) / align * align;
  // No better aligned than asked for, so that a missing alignment shows.
  if (align < kRedZone && offset % (2 * align) == 0) offset += align;
  if (offset + size + kRedZone > kSharedCapacity) give_up(Site(), "%s: too much static shared memory", name);
  Arena& last = w.arenas.back();
  const size_t end = static_cast<size_t>(last.start - w.shared) + last.size;
  last.zone = offset - end;
  std::memset(w.shared + end, kRedZoneByte, last.zone);
  check_limits(w, size, name);
  add_arena(w, key, w.shared + offset, size, name);
  return w.shared + offset;
}

const Arena* find_arena(const Worker& w, const void* p, size_t n) {
  const char* at = static_cast<const char*>(p);
  for (const Arena& a : w.arenas)
    if (at >= a.start && at + n <= a.start + a.size) return &a;
  return nullptr;
}

}  // namespace emu
