// SPDX-License-Identifier: Apache-2.0
// The journal of what ran on the device, for tests that compare it with a recorded one.
#include <atomic>
#include <mutex>
#include <utility>

#include "core.h"

namespace emu {
namespace {

std::atomic<bool> kept{false};
std::mutex mutex;
std::string lines;

}  // namespace

void keep_journal(bool on) {
  std::lock_guard<std::mutex> lock(mutex);
  kept = on;
  lines.clear();
}

bool journal_kept() { return kept; }

void add_to_journal(const std::string& line) {
  std::lock_guard<std::mutex> lock(mutex);
  if (kept) lines += line + "\n";
}

std::string take_journal() {
  std::lock_guard<std::mutex> lock(mutex);
  return std::exchange(lines, {});
}

}  // namespace emu
