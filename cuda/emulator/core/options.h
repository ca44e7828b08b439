// SPDX-License-Identifier: Apache-2.0
// The options of DVL_EMULATOR and set_options(), see core.h.
#pragma once
#include <cstddef>
#include <cstdint>

#include "core.h"

namespace emu {

enum class Order : uint8_t { kForward, kReverse, kRandom };
enum class CopyTime : uint8_t { kDeferred, kEager, kRandom };

struct Options {
  Order order = Order::kForward;
  CopyTime copies = CopyTime::kDeferred;
  uint64_t seed = 1;
  int workers = 1;
  int strict = 1;         // 0: only what is certainly wrong; 2: also a mask that names an exited lane
  int preempt = 0;        // check build: 0 = only where threads must wait
  bool grid_races = true;  // check build
  const Gpu* gpu = nullptr;
  int kept_reports = 64;
  bool print_reports = true;
  bool sticky = true;     // driver facade: a failed kernel spoils its context, as on a GPU
  uint64_t approximate = 0;  // PTX: seed of the errors of approximate operations; 0 = none
  uint64_t mma = 0;          // PTX: 0 = one product after the other, 1 = backwards, 2 = even ones first, 3 = one exact sum
};

// Parsed from the environment at first use. Changes between launches only.
const Options& options();

constexpr int kMaxWorkers = 64;

// Every value that was never written reads as this byte: NaN as bf16 and f32, -1 as an integer.
constexpr int kPoison = 0xff;

}  // namespace emu
