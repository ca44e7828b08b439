// SPDX-License-Identifier: Apache-2.0
// Device memory: exact bounds, reads of what was never written, races between threads and between blocks of one launch.
#include <sys/mman.h>

#include <atomic>
#include <cstdlib>
#include <map>
#include <mutex>
#include <vector>

#include "check_state.h"
#include "module.h"
#include "report.h"

namespace emu::check {
namespace {

// Who touched two neighbouring bytes in the present launch. Two, because bf16 is the smallest thing that threads store
// side by side: accesses of a single byte take no part in the race checks.
struct Cell {
  uint32_t launch;          // of everything below
  uint32_t writer, reader;  // block + 1; 0 = nobody; kSeveral readers
  Past write, read;         // the last of that block
};
constexpr uint32_t kSeveral = ~0u;
constexpr size_t kCellBytes = 2;

struct Shadow {
  char* start;
  size_t size;
  uint8_t* written;  // one a byte
  Cell* cells;
};

std::mutex mutex;
std::map<char*, Shadow*> shadows;           // by start
std::vector<Shadow*> freed_during_launch;   // the running block may still look at them
std::atomic<uint32_t> generation{1};        // changes with every allocation and release
uint32_t launch_number = 0;

void* map_zeroes(size_t bytes) {
  void* p = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (p == MAP_FAILED) std::abort();
  return p;
}

size_t cell_bytes(size_t size) { return (size / kCellBytes + 1) * sizeof(Cell); }

void release(Shadow* s) {
  munmap(s->written, s->size);
  munmap(s->cells, cell_bytes(s->size));
  delete s;
}

// The shadow that holds p, or nullptr.
Shadow* find_locked(const char* p) {
  auto it = shadows.upper_bound(const_cast<char*>(p));
  if (it == shadows.begin()) return nullptr;
  --it;
  return p < it->second->start + it->second->size ? it->second : nullptr;
}

// Kernels go round a few arrays, so a small cache answers nearly always, without the lock.
Shadow* find(const char* p) {
  constexpr int kEntries = 8;
  static thread_local Shadow* entry[kEntries];
  static thread_local uint32_t valid_for, next;
  const uint32_t present = generation.load(std::memory_order_acquire);
  if (valid_for != present) {
    valid_for = present;
    for (auto& e : entry) e = nullptr;
  }
  for (Shadow* e : entry)
    if (e && static_cast<size_t>(p - e->start) < e->size) return e;
  std::lock_guard<std::mutex> lock(mutex);
  Shadow* s = find_locked(p);
  if (s) entry[next++ % kEntries] = s;
  return s;
}

const char* verb(Access kind) { return kind == Access::kRead ? "read" : kind == Access::kWrite ? "write" : "atomic"; }

[[noreturn]] void illegal(Worker& w, const char* p, size_t n, Access kind, Place place) {
  char near[120];
  describe_address(p, near, sizeof near);
  found(place, "illegal address: %s of %zu bytes at %p, outside device memory%s", verb(kind), n, static_cast<const void*>(p),
        near);
  w.job->illegal = true;
  abandon_block(w);
}

// Checks against what the cell knows, then adds this access to it. One finding is enough.
bool check_cell(const Worker& w, Cell& cell, unsigned me, Access kind, Place place) {
  const CheckState& c = *w.check;
  const uint32_t block = static_cast<uint32_t>(w.block) + 1;
  if (cell.launch != launch_number) cell = {launch_number, 0, 0, {}, {}};
  const bool other_writer = cell.writer && cell.writer != block;
  const bool other_reader = cell.reader && cell.reader != block;
  bool fine = true;
  if (other_writer) {
    if (options().grid_races && !arrived_before(c, me, cell.writer - 1, cell.write)) {
      found(place, "race between blocks: %s of what block %u wrote in this launch", verb(kind), cell.writer - 1);
      fine = false;
    }
  } else if (cell.writer && !ordered(c, me, cell.write)) {
    found(place, "race: %s of global memory, written by thread %u with no barrier between", verb(kind), cell.write.thread);
    fine = false;
  } else if (kind == Access::kWrite && other_reader) {
    if (options().grid_races && (cell.reader == kSeveral || !arrived_before(c, me, cell.reader - 1, cell.read))) {
      found(place, "race between blocks: write of what another block read in this launch");
      fine = false;
    }
  } else if (kind == Access::kWrite && cell.reader && !ordered(c, me, cell.read)) {
    found(place, "race: write of global memory, read by thread %u with no barrier between", cell.read.thread);
    fine = false;
  }
  if (kind == Access::kRead) {
    cell.reader = other_reader ? kSeveral : block;
    cell.read = now(c, me);
  } else if (kind == Access::kWrite) {
    cell.writer = block;
    cell.write = now(c, me);
    cell.reader = 0;
  }
  return fine;
}

}  // namespace

void allocated(char* start, size_t bytes) {
  auto* s = new Shadow{start, bytes, static_cast<uint8_t*>(map_zeroes(bytes)), static_cast<Cell*>(map_zeroes(cell_bytes(bytes)))};
  std::lock_guard<std::mutex> lock(mutex);
  shadows[start] = s;
  generation++;
}

void freed(char* start) {
  std::lock_guard<std::mutex> lock(mutex);
  const auto it = shadows.find(start);
  if (it == shadows.end()) return;
  freed_during_launch.push_back(it->second);
  shadows.erase(it);
  generation++;
}

void launch_start() {
  std::lock_guard<std::mutex> lock(mutex);
  launch_number++;
  grid_launch_start();
  for (Shadow* s : freed_during_launch) release(s);
  freed_during_launch.clear();
}

void written(char* p, size_t n) {
  std::lock_guard<std::mutex> lock(mutex);
  const Shadow* s = find_locked(p);
  if (!s) return;
  const size_t offset = static_cast<size_t>(p - s->start);
  __builtin_memset(s->written + offset, 1, std::min(n, s->size - offset));
}

void global_access(Worker& w, const char* p, size_t n, Access kind, Place place) {
  Shadow* s = find(p);
  if (!s) {
    if (module_contains(p) || host_memory_contains(p, n)) return;  // constants; pinned memory
    illegal(w, p, n, kind, place);
  }
  const size_t offset = static_cast<size_t>(p - s->start);
  if (n > s->size - offset) illegal(w, p, n, kind, place);

  uint8_t* written = s->written + offset;
  for (size_t i = 0; kind != Access::kWrite && i < n; i++) {
    if (written[i]) continue;
    found(place, "%s of device memory that was never written (offset %zu of %zu)", verb(kind), offset + i, s->size);
    break;
  }
  __builtin_memset(written, 1, n);

  if (n < kCellBytes) return;
  const unsigned me = self->linear;
  for (size_t i = offset / kCellBytes; i <= (offset + n - 1) / kCellBytes; i++)
    if (!check_cell(w, s->cells[i], me, kind, place)) return;
}

}  // namespace emu::check
