// SPDX-License-Identifier: Apache-2.0
// Sizes of the imaginary GPU that more than one part of the facade needs.
#pragma once

#include "../core/core.h"

namespace emu::driver {

constexpr int WARP = 32;
constexpr unsigned MAX_BLOCK_Z = 64, MAX_GRID_X = 2147483647, MAX_GRID_YZ = 65535;

int multiprocessors();

} // namespace emu::driver
