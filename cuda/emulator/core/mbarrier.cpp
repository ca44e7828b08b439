// SPDX-License-Identifier: Apache-2.0
// mbarriers: a phase ends when all arrivals have come and all bytes that were expected. What was done before an arrival happens before what
// is done after a wait for its phase.
#include <cstdio>

#include "check.h"
#include "report.h"
#include "worker.h"

namespace emu {
namespace {

constexpr int64_t kMaxBytes = (1 << 20) - 1;  // that an mbarrier counts
constexpr uint32_t kMaxArrivals = (1 << 20) - 1;
constexpr size_t kBytes = 8;

Mbarrier* find(Worker& w, const void* barrier) {
  for (Mbarrier& m : w.mbarriers)
    if (m.at == barrier) return &m;
  return nullptr;
}

unsigned index_of(const Worker& w, const Mbarrier& m) { return static_cast<unsigned>(&m - w.mbarriers.data()); }

}  // namespace

Mbarrier& mbarrier_at(Worker& w, const void* barrier, const char* what, Site site) {
  running()->site = site;
  Mbarrier* m = find(w, barrier);
  if (!m) give_up(site, "%s of an mbarrier at %p, where none was initialised", what, barrier);
  check::touch(barrier, kBytes, Access::kAtomic, site);
  check::mbarrier_used(index_of(w, *m), site);
  return *m;
}

void mbarrier_init(void* barrier, uint32_t arrivals, Site site) {
  Worker& w = *worker;
  running()->site = site;
  if (!find_arena(w, barrier, kBytes)) give_up(site, "an mbarrier at %p, which is not inside shared memory", barrier);
  if (reinterpret_cast<uintptr_t>(barrier) % kBytes) give_up(site, "an mbarrier at a misaligned address %p", barrier);
  if (arrivals == 0 || arrivals > kMaxArrivals) give_up(site, "an mbarrier of %u arrivals", arrivals);
  check::touch(barrier, kBytes, Access::kWrite, site);
  Mbarrier* m = find(w, barrier);
  if (m && (m->copies || m->pending != m->arrivals)) give_up(site, "an mbarrier that is in use is initialised again");
  if (!m) {
    if (w.mbarriers.size() == kMaxMbarriers) give_up(site, "more than %u mbarriers in a block", kMaxMbarriers);
    w.mbarriers.push_back({});
    m = &w.mbarriers.back();
  }
  // Phases count on, so that what an earlier life of it brought stays known.
  check::mbarrier_initialised(index_of(w, *m));
  *m = {static_cast<const char*>(barrier), arrivals, arrivals, 0, (m->phases + 1) & ~1u, 0, self->linear, false, {}};
}

void mbarrier_fence(Site site) {
  running()->site = site;
  for (Mbarrier& m : worker->mbarriers)
    if (m.owner == self->linear) m.visible = true;
}

void mbarrier_settle(Worker& w, Mbarrier& m, Site site) {
  if (m.pending) return;
  if (m.bytes < 0) give_up(site, "an mbarrier got %lld bytes more than were expected", static_cast<long long>(-m.bytes));
  if (m.bytes) return;
  if (m.copies)
    finding(site, "a phase of an mbarrier ends although %u of its copies are on their way: too few bytes were expected", m.copies);
  m.phases++;
  m.pending = m.arrivals;
  check::mbarrier_completed(index_of(w, m));
  for (unsigned i = 0; i < w.warps; i++) {
    set_ready(w, i, m.waiting[i]);
    m.waiting[i] = 0;
  }
}

void mbarrier_expect(void* barrier, uint32_t bytes, Site site) {
  Mbarrier& m = mbarrier_at(*worker, barrier, "expect_tx", site);
  m.bytes += bytes;
  if (m.bytes > kMaxBytes) give_up(site, "an mbarrier expects %lld bytes; it can count %lld", static_cast<long long>(m.bytes),
                                   static_cast<long long>(kMaxBytes));
}

void mbarrier_arrive(void* barrier, uint32_t arrivals, Site site) {
  Worker& w = *worker;
  bulk_copies_maybe(w);
  Mbarrier& m = mbarrier_at(w, barrier, "arrive", site);
  if (arrivals == 0 || m.pending < arrivals)
    give_up(site, "%u arrivals at an mbarrier that waits for %u of %u", arrivals, m.pending, m.arrivals);
  check::mbarrier_arrived(index_of(w, m));
  m.pending -= arrivals;
  mbarrier_settle(w, m, site);
}

bool mbarrier_test(void* barrier, uint32_t parity, Site site) {
  Worker& w = *worker;
  bulk_copies_maybe(w);
  const Mbarrier& m = mbarrier_at(w, barrier, "wait", site);
  if (!mbarrier_passed(m, parity)) return false;
  check::mbarrier_acquired(index_of(w, m));
  return true;
}

void mbarrier_wait(void* barrier, uint32_t parity, Site site) {
  Worker& w = *worker;
  Fiber& f = *running();
  while (!mbarrier_test(barrier, parity, site)) {
    find(w, barrier)->waiting[f.warp] |= 1u << f.lane;
    f.op = Op::kMbarrier;
    wait_here(w);
    f.op = Op::kNone;
  }
}

void mbarrier_lacks(const Worker& w, const Mbarrier& m, char* text, size_t capacity) {
  std::snprintf(text, capacity, "an mbarrier (+%td) that lacks %u of %u arrivals and %lld bytes", m.at - w.shared, m.pending, m.arrivals,
                static_cast<long long>(m.bytes));
}

}  // namespace emu
