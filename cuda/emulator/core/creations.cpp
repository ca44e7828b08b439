// SPDX-License-Identifier: Apache-2.0
// Counts what is created and destroyed, and has a creation fail that a test asks for.
#include <map>
#include <mutex>

#include "core.h"

namespace emu {
namespace {

struct Creations {
  std::mutex mutex;
  std::map<std::string, int64_t> objects;  // by kind
  uint64_t count = 0, failing = 0;
};

// Never destroyed: other threads may still call in while the process exits.
Creations& all() {
  static Creations* instance = new Creations;
  return *instance;
}

}  // namespace

bool create(const char* kind) {
  Creations& c = all();
  std::lock_guard<std::mutex> lock(c.mutex);
  if (++c.count == c.failing) return false;
  c.objects[kind]++;
  return true;
}

void destroyed(const char* kind) {
  Creations& c = all();
  std::lock_guard<std::mutex> lock(c.mutex);
  c.objects[kind]--;
}

void fail_creation(uint64_t n) {
  Creations& c = all();
  std::lock_guard<std::mutex> lock(c.mutex);
  c.count = 0;
  c.failing = n;
}

uint64_t creations() {
  Creations& c = all();
  std::lock_guard<std::mutex> lock(c.mutex);
  return c.count;
}

std::string created_objects() {
  Creations& c = all();
  std::lock_guard<std::mutex> lock(c.mutex);
  std::string text;
  for (const auto& [kind, count] : c.objects) {
    if (count) text += kind + " " + std::to_string(count) + "\n";
  }
  return text;
}

}  // namespace emu
