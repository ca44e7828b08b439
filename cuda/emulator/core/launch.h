// SPDX-License-Identifier: Apache-2.0
// A launch in progress, shared by the workers that run its blocks.
#pragma once
#include <atomic>
#include <cstdint>
#include <mutex>

#include "core.h"

namespace emu {

constexpr size_t kMaxArgumentBytes = 4096;  // as on the device
constexpr int kMaxArguments = 256;

struct Job {
  const Kernel* kernel = nullptr;
  LaunchConfig config;
  uint64_t number = 0;  // of this launch; 1 for the first
  uint64_t blocks = 0;
  unsigned threads = 0;  // per block
  int workers = 0;       // how many may take part
  std::atomic<uint64_t> next_block{0};
  std::atomic<bool> failed{false};   // a block was given up: start no more
  std::atomic<bool> illegal{false};  // because of an illegal address
  std::atomic<int> findings{0};
  void* args[kMaxArguments];
  // One copy for all threads; a parameter may ask for up to 128-byte alignment (tensor maps).
  alignas(128) unsigned char arg_bytes[kMaxArgumentBytes + 128 * kMaxArguments];
};

// The launch that is running or ran last.
Job& current_job();

// Held while a launch runs and while options change.
std::mutex& launch_mutex();

// Runs one block of the job; in scheduler.cpp.
struct Worker;
void run_block(Worker& w, uint64_t block);

}  // namespace emu
