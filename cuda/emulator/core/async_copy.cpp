// SPDX-License-Identifier: Apache-2.0
// cp.async: a copy may take place at any time between its issue and the wait for its group. By default it does so as late
// as possible, at the wait, so that a missing or too weak wait shows as poison.
#include <cstring>

#include "check.h"
#include "report.h"
#include "worker.h"

namespace emu {
namespace {

void perform(Copy& c) {
  if (c.done) return;
  std::memcpy(c.to, c.from, c.valid);
  std::memset(c.to + c.valid, 0, c.bytes - c.valid);
  c.done = true;
}

bool copy_now(Worker& w) {
  switch (options().copies) {
    case CopyTime::kDeferred: return false;
    case CopyTime::kEager: return true;
    default: return next_random(w) & 1;
  }
}

}  // namespace

void cp_async(void* shared, const void* global, uint32_t bytes, uint32_t valid, Site site) {
  Worker& w = *worker;
  Fiber& f = *running();
  f.site = site;
  w.stats.copies++;
  if (!find_arena(w, shared, bytes)) give_up(site, "cp.async to %p, which is not inside shared memory", shared);
  if (reinterpret_cast<uintptr_t>(shared) % bytes) give_up(site, "cp.async to a misaligned address %p", shared);
  if (valid) {
    if (reinterpret_cast<uintptr_t>(global) % bytes) give_up(site, "cp.async from a misaligned address %p", global);
    const auto* source = static_cast<const volatile char*>(global);
    (void)source[0], (void)source[valid - 1];  // an illegal source faults here, at the issuing thread
    check::touch(global, valid, Access::kRead, site);
  }
  check::copy_issued(shared, bytes, site);
  CopyQueue& q = w.copy_queue[f.linear];
  q.copies.push_back({static_cast<char*>(shared), static_cast<const char*>(global), bytes, valid, q.committed, false, site});
  if (copy_now(w)) perform(q.copies.back());
}

void cp_async_commit() { worker->copy_queue[self->linear].committed++; }

void cp_async_wait(int groups_in_flight) {
  CopyQueue& q = worker->copy_queue[self->linear];
  size_t done = 0;
  // Group g is complete once at most `groups_in_flight` groups were committed after it.
  while (done < q.copies.size() && q.copies[done].group + groups_in_flight < q.committed) {
    Copy& c = q.copies[done++];
    perform(c);
    check::copy_done(c.to, c.bytes);
  }
  q.copies.erase(q.copies.begin(), q.copies.begin() + static_cast<std::ptrdiff_t>(done));
}

void copies_thread_exit(Worker& w, Fiber& f) {
  CopyQueue& q = w.copy_queue[f.linear];
  if (options().strict) finding(q.copies.front().site, "a thread ends with a cp.async that it never waited for");
  q.copies.clear();
}

}  // namespace emu
