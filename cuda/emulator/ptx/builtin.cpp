// SPDX-License-Identifier: Apache-2.0
// Functions that the device brings along: printf, the failure of assert(), malloc and free.
#include <cstdio>
#include <cstring>

#include "memory.h"
#include "operations.h"

namespace emu::ptx {
namespace {

// A parameter of the call, from the frame
template <class T>
T parameter(const Context& c, const Ins& i, unsigned lane, size_t n) {
  const Slot slot = c.frame->function->calls[i.target].parameters.at(n);
  T value{};
  std::memcpy(&value, c.machine->local_of(*c.warp, lane) + c.frame->local + slot.offset, std::min<size_t>(sizeof value, slot.bytes));
  return value;
}

template <class T>
void give_result(const Context& c, const Ins& i, unsigned lane, T value) {
  const Call& call = c.frame->function->calls[i.target];
  if (call.results.empty()) return;
  const Slot slot = call.results[0];
  char* at = c.machine->local_of(*c.warp, lane) + c.frame->local + slot.offset;
  std::memcpy(at, &value, std::min<size_t>(sizeof value, slot.bytes));
  if (kCheck) std::memset(c.machine->written_local + (at - c.machine->local_start()), 1, slot.bytes);
}

// A text in device memory
std::string text_at(const Context& c, const Ins& i, unsigned lane, uint64_t address) {
  std::string s;
  for (char letter; s.size() < 65536; s += letter) {
    letter = *reach(c, i, lane, Space::kGeneric, address + s.size(), 1, Access::kRead);
    if (!letter) break;
  }
  return s;
}

// One conversion of the format, e.g. "%-8.3f", with the next value of the argument buffer
void print_one(const Context& c, const Ins& i, unsigned lane, const std::string& format, uint64_t buffer, size_t& offset,
    std::string& out) {
  const char kind = format.back();
  const bool wide = format.find("ll") != std::string::npos || format.find('l') != std::string::npos || std::strchr("sp", kind) ||
      std::strchr("eEfFgGaA", kind);
  const size_t n = wide ? 8 : 4;
  offset = (offset + n - 1) / n * n;
  uint64_t bits = 0;
  std::memcpy(&bits, reach(c, i, lane, Space::kGeneric, buffer + offset, n, Access::kRead), n);
  offset += n;
  char text[512];
  if (std::strchr("eEfFgGaA", kind)) {
    double d;
    std::memcpy(&d, &bits, 8);
    std::snprintf(text, sizeof text, format.c_str(), d);
  } else if (kind == 's') {
    out += text_at(c, i, lane, bits);
    return;
  } else if (wide) {
    std::snprintf(text, sizeof text, format.c_str(), bits);
  } else {
    std::snprintf(text, sizeof text, format.c_str(), static_cast<uint32_t>(bits));
  }
  out += text;
}

void vprintf_(Context& c, const Ins& i, uint32_t lanes) {
  each_lane(lanes, [&](unsigned l) {
    const std::string format = text_at(c, i, l, parameter<uint64_t>(c, i, l, 0));
    const auto buffer = parameter<uint64_t>(c, i, l, 1);
    std::string out;
    size_t offset = 0;
    int printed = 0;
    for (size_t k = 0; k < format.size(); k++) {
      if (format[k] != '%') {
        out += format[k];
      } else if (k + 1 < format.size() && format[k + 1] == '%') {
        out += '%', k++;
      } else {
        const size_t end = format.find_first_of("diouxXeEfFgGaAcsp", k + 1);
        if (end == std::string::npos || end - k > 30 || format.find_first_not_of("0123456789.+-# lhz", k + 1) < end) {
          out += format[k];
          continue;
        }
        print_one(c, i, l, format.substr(k, end - k + 1), buffer, offset, out);
        printed++;
        k = end;
      }
    }
    std::fwrite(out.data(), 1, out.size(), stdout);
    give_result(c, i, l, printed);
  });
  std::fflush(stdout);
}

// __assertfail(message, file, line, function, character size)
void assertion_failed(Context& c, const Ins& i, uint32_t lanes) {
  const auto l = static_cast<unsigned>(__builtin_ctz(lanes));
  const std::string message = text_at(c, i, l, parameter<uint64_t>(c, i, l, 0)), file = text_at(c, i, l, parameter<uint64_t>(c, i, l, 1));
  give_up_at(c, i, l, "assertion failed: %s at %s:%u", message.c_str(), file.c_str(), parameter<uint32_t>(c, i, l, 2));
}

void malloc_(Context& c, const Ins& i, uint32_t lanes) {
  each_lane(lanes, [&](unsigned l) { give_result(c, i, l, c.machine->image->heap.take(parameter<uint64_t>(c, i, l, 0))); });
}
void free_(Context& c, const Ins& i, uint32_t lanes) {
  each_lane(lanes, [&](unsigned l) {
    auto* p = parameter<char*>(c, i, l, 0);
    if (p && !c.machine->image->heap.give_back(p)) give_up_at(c, i, l, "free of %p, which malloc has not given", static_cast<void*>(p));
  });
  for (Machine::Range& r : c.machine->known) r = {};
}

}  // namespace

Heap::~Heap() {
  for (const auto& [start, bytes] : blocks_) device_free(start);
}

char* Heap::take(size_t bytes) {
  const std::lock_guard lock(mutex_);
  if (bytes > kBytes - used_) return nullptr;
  auto* start = static_cast<char*>(device_alloc(bytes));
  if (!start) return nullptr;
  blocks_[start] = bytes;
  used_ += bytes;
  return start;
}

bool Heap::give_back(char* start) {
  const std::lock_guard lock(mutex_);
  const auto it = blocks_.find(start);
  if (it == blocks_.end()) return false;
  used_ -= it->second;
  blocks_.erase(it);
  return device_free(start);
}

Run builtin_function(std::string_view name) {
  if (name == "malloc") return &malloc_;
  if (name == "free") return &free_;
  if (name == "vprintf") return &vprintf_;
  if (name == "__assertfail") return &assertion_failed;
  return nullptr;
}

}  // namespace emu::ptx
