// SPDX-License-Identifier: Apache-2.0
// Device memory: each allocation has pages of its own and ends (padded to 256 bytes) at a page that faults.
#include <sys/mman.h>

#include <cstdlib>
#include <cstring>
#include <map>
#include <mutex>

#include "check.h"
#include "core.h"
#include "options.h"
#include "module.h"
#include "report.h"

namespace emu {
namespace {

constexpr size_t kPage = 4096, kAlignment = 256;
constexpr size_t kPoisonLimit = size_t{256} << 20;  // larger allocations stay lazily committed zero pages

struct Allocation {
  size_t size, padding;
  char* map;
  size_t map_size;
};

struct Registry {
  std::mutex mutex;
  std::map<char*, Allocation> allocations;  // by start
  std::map<char*, size_t> host_memory;      // by start: bytes
  size_t used = 0;
};

// Never destroyed: the leak report comes as the process ends.
Registry& registry() {
  static Registry* instance = new Registry();
  return *instance;
}

size_t round_up(size_t n, size_t to) { return (n + to - 1) / to * to; }

size_t parse_total() {
  const char* text = std::getenv("DVL_EMULATED_MEMORY");
  size_t total = size_t{4} << 30;
  if (text && *text) {
    char* end;
    const unsigned long long value = std::strtoull(text, &end, 0);
    const int shift = *end == 'K' ? 10 : *end == 'M' ? 20 : *end == 'G' ? 30 : 0;
    if (value) total = static_cast<size_t>(value) << shift;
  }
  return total;
}

// The allocation that holds p; call with the lock held.
std::map<char*, Allocation>::iterator holder(Registry& r, const void* p) {
  char* at = static_cast<char*>(const_cast<void*>(p));
  auto it = r.allocations.upper_bound(at);
  if (it == r.allocations.begin()) return r.allocations.end();
  --it;
  return static_cast<size_t>(at - it->first) < it->second.size ? it : r.allocations.end();
}

bool padding_intact(const char* start, const Allocation& a) {
  for (size_t i = 0; i < a.padding; i++)
    if (static_cast<unsigned char>(start[a.size + i]) != kPoison) return false;
  return true;
}

}  // namespace

size_t device_total() {
  static const size_t total = parse_total();
  return total;
}

size_t device_used() {
  Registry& r = registry();
  std::lock_guard<std::mutex> lock(r.mutex);
  return r.used;
}

size_t device_allocations() {
  Registry& r = registry();
  std::lock_guard<std::mutex> lock(r.mutex);
  return r.allocations.size();
}

void* device_alloc(size_t bytes) {
  if (bytes == 0) return nullptr;
  Registry& r = registry();
  std::lock_guard<std::mutex> lock(r.mutex);
  if (bytes > device_total() || r.used > device_total() - bytes) return nullptr;
  const size_t padded = round_up(bytes, kAlignment), body = round_up(padded, kPage);
  Allocation a{bytes, padded - bytes, nullptr, body + 2 * kPage};
  void* map = mmap(nullptr, a.map_size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (map == MAP_FAILED) return nullptr;
  a.map = static_cast<char*>(map);
  mprotect(a.map, kPage, PROT_NONE);
  mprotect(a.map + kPage + body, kPage, PROT_NONE);
  char* start = a.map + kPage + (body - padded);
  if (bytes <= kPoisonLimit) std::memset(start, kPoison, bytes);
  std::memset(start + bytes, kPoison, a.padding);
  r.allocations[start] = a;
  r.used += bytes;
  check::allocated(start, bytes);
  return start;
}

bool device_free(void* start) {
  Registry& r = registry();
  std::lock_guard<std::mutex> lock(r.mutex);
  const auto it = r.allocations.find(static_cast<char*>(start));
  if (it == r.allocations.end()) return false;
  if (!padding_intact(it->first, it->second))
    add_report("write past the end of an allocation of " + std::to_string(it->second.size) + " bytes, found as it is freed");
  check::freed(it->first);
  munmap(it->second.map, it->second.map_size);
  r.used -= it->second.size;
  r.allocations.erase(it);
  return true;
}

bool device_range(const void* p, size_t n) {
  Registry& r = registry();
  std::lock_guard<std::mutex> lock(r.mutex);
  const auto it = holder(r, p);
  if (it == r.allocations.end()) return false;
  const size_t offset = static_cast<size_t>(static_cast<const char*>(p) - it->first);
  return n <= it->second.size - offset;
}

bool device_find(const void* p, void** start, size_t* bytes) {
  Registry& r = registry();
  std::lock_guard<std::mutex> lock(r.mutex);
  const auto it = holder(r, p);
  if (it == r.allocations.end()) return false;
  if (start) *start = it->first;
  if (bytes) *bytes = it->second.size;
  return true;
}

void host_memory_added(void* start, size_t bytes) {
  Registry& r = registry();
  std::lock_guard<std::mutex> lock(r.mutex);
  r.host_memory[static_cast<char*>(start)] = bytes;
}

void host_memory_removed(void* start) {
  Registry& r = registry();
  std::lock_guard<std::mutex> lock(r.mutex);
  r.host_memory.erase(static_cast<char*>(start));
}

bool host_memory_contains(const void* p, size_t n) {
  Registry& r = registry();
  std::lock_guard<std::mutex> lock(r.mutex);
  auto* at = static_cast<char*>(const_cast<void*>(p));
  auto it = r.host_memory.upper_bound(at);
  if (it == r.host_memory.begin()) return false;
  --it;
  const size_t offset = static_cast<size_t>(at - it->first);
  return offset < it->second && n <= it->second - offset;
}

size_t report_leaks() {
  Registry& r = registry();
  std::lock_guard<std::mutex> lock(r.mutex);
  if (!r.allocations.empty())
    add_report("leak: " + std::to_string(r.allocations.size()) + " allocations, " + std::to_string(r.used) +
               " bytes of device memory, were not freed");
  return r.used;
}

#ifdef EMU_CHECK
namespace {
// After main() or System.exit.
__attribute__((destructor)) void report_leaks_at_exit() { report_leaks(); }
}  // namespace
#endif

void device_written(void* p, size_t n) { check::written(static_cast<char*>(p), n); }

void describe_address(const void* p, char* text, size_t capacity) {
  Registry& r = registry();
  std::lock_guard<std::mutex> lock(r.mutex);
  auto it = r.allocations.upper_bound(static_cast<char*>(const_cast<void*>(p)));
  text[0] = 0;
  if (it == r.allocations.begin()) return;
  --it;
  const long beyond = static_cast<const char*>(p) - it->first - static_cast<long>(it->second.size);
  if (beyond >= 0 && beyond < (1 << 20))
    std::snprintf(text, capacity, ", %ld bytes past the end of an allocation of %zu bytes", beyond, it->second.size);
}

}  // namespace emu
