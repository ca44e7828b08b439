// SPDX-License-Identifier: Apache-2.0
// Sizes of the imaginary GPU that more than one part of the facade needs.
#pragma once

#include "../core/core.h"

namespace emu::driver {

constexpr int WARP = 32;
constexpr unsigned MAX_BLOCK_Z = 64, MAX_GRID_X = 2147483647, MAX_GRID_YZ = 65535;
constexpr int THREADS_PER_MULTIPROCESSOR = 2048, BLOCKS_PER_MULTIPROCESSOR = 32;
constexpr size_t RESERVED_SHARED = 1 << 10; // a block
constexpr size_t SHARED_PER_MULTIPROCESSOR = kMaxSharedMemory + RESERVED_SHARED;

int multiprocessors();

} // namespace emu::driver
