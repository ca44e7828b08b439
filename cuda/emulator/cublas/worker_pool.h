// SPDX-License-Identifier: Apache-2.0
// Threads for the matrix product. The core's workers run fibers of kernels; these run plain loops.
#pragma once

#include <functional>

namespace emu::blas {

// Runs body(0) ... body(count - 1) on the calling thread and the pool's, and returns when all are done. The first
// exception of a body is thrown here. For one caller at a time.
void parallel_for(int count, const std::function<void(int)>& body);

} // namespace emu::blas
