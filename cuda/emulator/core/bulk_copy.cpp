// SPDX-License-Identifier: Apache-2.0
// cp.async.bulk and cp.async.bulk.tensor, global -> shared. As late as possible by default: when every thread waits, so that a missing wait
// shows as poison or as a copy in flight.
#include <cstring>

#include "check.h"
#include "module.h"
#include "report.h"
#include "worker.h"

namespace emu {
namespace {

// Calls line(offset in the box, address in the tensor, bytes of it that are inside, of them `skip` before the line starts) for every line
// of the box; the address is nullptr where all of it is outside.
template <class F>
void each_line(const TensorMap& m, const int32_t* at, F line) {
  const size_t bytes = size_t{m.box[0]} * m.element_bytes;
  size_t lines = 1;
  for (int d = 1; d < m.rank; d++) lines *= m.box[d];
  const int64_t first = std::max<int64_t>(at[0], 0), end = std::min<int64_t>(int64_t{at[0]} + m.box[0], int64_t{m.last[0]} + 1);
  for (size_t i = 0; i < lines; i++) {
    size_t rest = i;
    int64_t distance = 0;
    bool inside = first < end;
    for (int d = 1; d < m.rank; d++) {
      const int64_t x = int64_t{at[d]} + static_cast<int64_t>(rest % m.box[d]);
      rest /= m.box[d];
      inside = inside && x >= 0 && x <= int64_t{m.last[d]};
      distance += x * m.stride[d - 1] * 16;
    }
    const char* from = inside ? m.address + distance + first * m.element_bytes : nullptr;
    line(i * bytes, from, inside ? static_cast<size_t>(end - first) * m.element_bytes : 0,
         inside ? static_cast<size_t>(first - at[0]) * m.element_bytes : 0);
  }
}

uint32_t bytes_of(const TensorMap& m) {
  uint32_t bytes = m.element_bytes;
  for (int d = 0; d < m.rank; d++) bytes *= m.box[d];
  return bytes;
}

// Where 16 bytes go: bits 4 to 6 of the address, as many as the swizzle has, change by those that are 3 higher.
size_t swizzled(size_t address, unsigned swizzle) { return address ^ ((address >> 7 & ((1u << swizzle) - 1)) << 4); }

void perform(Worker& w, const BulkCopy& c) {
  if (c.from) {
    std::memcpy(c.to, c.from, c.bytes);
  } else {
    const size_t start = static_cast<size_t>(c.to - w.shared), width = size_t{c.map.box[0]} * c.map.element_bytes;
    alignas(16) char bytes[256 * 8];
    each_line(c.map, c.at, [&](size_t offset, const char* from, size_t n, size_t skip) {
      std::memset(bytes, 0, width);
      if (from) std::memcpy(bytes + skip, from, n);
      for (size_t i = 0; i < width; i += 16) std::memcpy(w.shared + swizzled(start + offset + i, c.map.swizzle), bytes + i, 16);
    });
  }
  Mbarrier& m = w.mbarriers[c.barrier];
  check::bulk_copy_done(c.to, c.bytes, c.barrier);
  m.bytes -= c.bytes;
  m.copies--;
  mbarrier_settle(w, m, c.site);
}

// A source of n bytes must be memory of the device.
void check_source(Worker& w, const char* what, const char* from, size_t n, Site site) {
  if (device_range(from, n) || host_memory_contains(from, n)) return;
  char near[120];
  describe_address(from, near, sizeof near);
  w.job->illegal = true;
  give_up(site, "illegal address: %s of %zu bytes at %p, outside device memory%s", what, n, static_cast<const void*>(from), near);
}

void issue(Worker& w, const char* what, BulkCopy copy, const void* barrier, unsigned alignment) {
  const Site site = copy.site;
  if (gpu().major < 9) give_up(site, "%s on a GPU of compute capability %d.%d, which has none", what, gpu().major, gpu().minor);
  Mbarrier& m = mbarrier_at(w, barrier, what, site);
  w.stats.copies++;
  if (!m.visible) finding(site, "%s names an mbarrier that its thread has not made visible to copies (fence.mbarrier_init)", what);
  m.visible = true;  // said once
  if (!find_arena(w, copy.to, copy.bytes)) give_up(site, "%s to %p, which is not inside shared memory", what, copy.to);
  if (static_cast<size_t>(copy.to - w.shared) % alignment)
    give_up(site, "%s to a misaligned address: %#zx is no multiple of %u", what, static_cast<size_t>(copy.to - w.shared), alignment);
  check::copy_issued(copy.to, copy.bytes, site);
  copy.barrier = static_cast<unsigned>(&m - w.mbarriers.data());
  m.copies++;
  w.bulk_copies.push_back(copy);
  if (options().copies == CopyTime::kEager) do_bulk_copy(w);
  else bulk_copies_maybe(w);
}

}  // namespace

bool do_bulk_copy(Worker& w) {
  if (w.bulk_copies.empty()) return false;
  const size_t i = w.order == Order::kRandom ? next_random(w) % w.bulk_copies.size() : 0;
  const BulkCopy copy = w.bulk_copies[i];
  w.bulk_copies.erase(w.bulk_copies.begin() + static_cast<std::ptrdiff_t>(i));
  perform(w, copy);
  return true;
}

void bulk_copies_maybe(Worker& w) {
  if (options().copies == CopyTime::kRandom && !w.bulk_copies.empty() && (next_random(w) & 1)) do_bulk_copy(w);
}

void bulk_copies_block_end(Worker& w) {
  if (!w.bulk_copies.empty())
    finding(w.bulk_copies.front().site, "the block ends while %zu bulk copies are on their way to its shared memory", w.bulk_copies.size());
  w.bulk_copies.clear();
}

void bulk_copy(void* shared, const void* global, uint32_t bytes, void* barrier, Site site) {
  constexpr const char* kWhat = "cp.async.bulk";
  Worker& w = *worker;
  running()->site = site;
  const auto* from = static_cast<const char*>(global);
  if (bytes == 0 || bytes % 16) give_up(site, "%s of %u bytes, which is no multiple of 16", kWhat, bytes);
  if (reinterpret_cast<uintptr_t>(global) % 16) give_up(site, "%s from a misaligned address %p", kWhat, global);
  check_source(w, kWhat, from, bytes, site);
  check::touch(from, bytes, Access::kRead, site);
  issue(w, kWhat, {static_cast<char*>(shared), from, bytes, 0, {}, {}, site}, barrier, 16);
}

void tensor_copy(void* shared, const void* map, int rank, const int32_t* at, void* barrier, Site site) {
  constexpr const char* kWhat = "cp.async.bulk.tensor";
  Worker& w = *worker;
  running()->site = site;
  if (reinterpret_cast<uintptr_t>(map) % 64) give_up(site, "%s by a tensor map at a misaligned address %p", kWhat, map);
  BulkCopy copy{static_cast<char*>(shared), nullptr, 0, 0, {}, {}, site};
  std::memcpy(&copy.map, map, sizeof copy.map);
  if (copy.map.mark != kTensorMapMark) give_up(site, "%s by what is no tensor map", kWhat);
  if (copy.map.rank != rank) give_up(site, "%s of %d dimensions by a tensor map of %d", kWhat, rank, copy.map.rank);
  std::memcpy(copy.at, at, static_cast<size_t>(rank) * sizeof *at);
  copy.bytes = bytes_of(copy.map);
  const char *low = nullptr, *high = nullptr;
  each_line(copy.map, at, [&](size_t, const char* from, size_t n, size_t) {
    if (!from) return;
    if (!low || from < low) low = from;
    high = std::max(high, from + n);
  });
  if (low) check_source(w, kWhat, low, static_cast<size_t>(high - low), site);
  each_line(copy.map, at, [&](size_t, const char* from, size_t n, size_t) {
    if (from) check::touch(from, n, Access::kRead, site);
  });
  issue(w, kWhat, copy, barrier, 128);
}

}  // namespace emu
