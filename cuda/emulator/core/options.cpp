// SPDX-License-Identifier: Apache-2.0
#include "options.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <mutex>
#include <string>
#include <thread>

#include "launch.h"

namespace emu {
namespace {

Order parse_order(const std::string& v) {
  return v == "rand" ? Order::kRandom : v == "rev" ? Order::kReverse : Order::kForward;
}
CopyTime parse_copies(const std::string& v) {
  return v == "rand" ? CopyTime::kRandom : v == "eager" ? CopyTime::kEager : CopyTime::kDeferred;
}

// Ampere, Ada, Hopper and Blackwell. For 11.0 the library has no machine code.
constexpr Gpu kGpus[] = {
    {8, 0, 164 << 10, 2048, 32}, {8, 6, 100 << 10, 1536, 16}, {8, 9, 100 << 10, 1536, 24},
    {9, 0, 228 << 10, 2048, 32}, {10, 0, 228 << 10, 2048, 32}, {11, 0, 228 << 10, 1536, 24}, {12, 0, 100 << 10, 1536, 24},
};

const Gpu* find_gpu(const std::string& capability) {
  for (const Gpu& g : kGpus)
    if (std::to_string(g.major) + "." + std::to_string(g.minor) == capability) return &g;
  return nullptr;
}

bool apply(Options& o, const std::string& key, const std::string& value) {
  const long long number = std::strtoll(value.c_str(), nullptr, 0);
  if (key == "sched") o.order = parse_order(value);
  else if (key == "cp") o.copies = parse_copies(value);
  else if (key == "seed") o.seed = std::strtoull(value.c_str(), nullptr, 0);
  else if (key == "workers") o.workers = static_cast<int>(std::clamp<long long>(number, 1, kMaxWorkers));
  else if (key == "strict") o.strict = static_cast<int>(number);
  else if (key == "preempt") o.preempt = static_cast<int>(std::max(0ll, number));
  else if (key == "gridrace") o.grid_races = number != 0;
  else if (key == "reports") o.kept_reports = static_cast<int>(std::max(0ll, number));
  else if (key == "stderr") o.print_reports = number != 0;
  else if (key == "sticky") o.sticky = number != 0;
  else if (key == "approx") o.approximate = std::strtoull(value.c_str(), nullptr, 0);
  else if (key == "mma") o.mma = std::strtoull(value.c_str(), nullptr, 0);
  else if (const Gpu* gpu = key == "gpu" ? find_gpu(value) : nullptr) o.gpu = gpu;
  else return false;
  return true;
}

void parse(Options& o, const char* text) {
  std::string rest = text ? text : "";
  while (!rest.empty()) {
    const size_t comma = rest.find(',');
    const std::string item = rest.substr(0, comma);
    rest = comma == std::string::npos ? "" : rest.substr(comma + 1);
    const size_t equals = item.find('=');
    if (item.empty()) continue;
    if (equals == std::string::npos || !apply(o, item.substr(0, equals), item.substr(equals + 1)))
      std::fprintf(stderr, "emulated device: unknown option or value '%s'\n", item.c_str());
  }
}

Options& current() {
  static Options instance = [] {
    Options o;
    o.gpu = find_gpu("9.0");
    o.workers = static_cast<int>(std::clamp(std::thread::hardware_concurrency(), 1u, 8u));
    parse(o, std::getenv("DVL_EMULATOR"));
    return o;
  }();
  return instance;
}

}  // namespace

const Options& options() { return current(); }
const Gpu& gpu() { return *current().gpu; }

void set_options(const char* text) {
  std::lock_guard<std::mutex> lock(launch_mutex());  // not in the middle of a grid
  parse(current(), text);
}

}  // namespace emu
