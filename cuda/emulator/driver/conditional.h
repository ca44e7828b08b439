// SPDX-License-Identifier: Apache-2.0
// What a conditional node looks at. Kernels set it from the emulated device's threads.
#pragma once

#include <atomic>

#include "work.h"

namespace emu::driver {

struct Condition {
  std::atomic<unsigned> value;
  unsigned initial;
  bool assigned_at_launch;
  CUgraph body = nullptr; // of its node
};

// Nodes so that each comes after its dependencies, otherwise as they were created; shorter than the graph if it has a
// cycle.
std::vector<Node*> ordered(const Graph& graph);

// Lists what a loop's body holds, if the work is a loop. CUDA_ERROR_NOT_SUPPORTED: something that may not be there.
CUresult complete(Work& work);

} // namespace emu::driver
