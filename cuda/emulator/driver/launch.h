// SPDX-License-Identifier: Apache-2.0
// Checks of a launch that streams and graphs share.
#pragma once

#include "work.h"

namespace emu::driver {

struct LaunchShape {
  unsigned grid[3], block[3], shared;
};

// The function and the checked shape of a launch; the parameters are only looked at, not copied.
CUresult prepare_launch(const Context& context, CUfunction handle, const LaunchShape& shape, void** parameters,
                        void** extra, const Function*& function, emu::LaunchConfig& config);

} // namespace emu::driver
