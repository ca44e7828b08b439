// SPDX-License-Identifier: Apache-2.0
// The parameter blocks of 2D and 3D copies as work; arrays are not supported.
#pragma once

#include "work.h"

namespace emu::driver {

CUresult box_of(const CUDA_MEMCPY2D* parameters, CopyWork& out);
CUresult box_of(const CUDA_MEMCPY3D* parameters, CopyWork& out);

} // namespace emu::driver
