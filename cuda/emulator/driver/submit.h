// SPDX-License-Identifier: Apache-2.0
// How the cuBLAS facade puts its work into a stream of the driver facade, from the other shared library.
#pragma once

#include <functional>

#include "cuda_types.h"

#define EMU_INTERNAL __attribute__((visibility("default")))

namespace emu::driver {

// Runs body(false) in the stream, or, if the stream is being captured, makes it a node whose replays run body(true);
// what a replay returns spoils the context, as a failing kernel would. `check` runs first in both cases, and its status
// is the answer if it is not 0. All run while the driver's lock is held, so they must not call the driver.
// CUDA_ERROR_INVALID_CONTEXT: the calling thread's context is not `owner`, or the stream belongs to another.
EMU_INTERNAL CUresult submit_to_stream(CUcontext owner, CUstream stream, const std::function<CUresult()>& check,
                                       std::function<CUresult(bool replay)> body);

// Whether [p, p + bytes) lies inside one live device allocation or one range of pinned host memory. For `check` and
// `body`.
EMU_INTERNAL bool reachable_by_device(const void* p, size_t bytes);

// The calling thread's context; CUDA_ERROR_INVALID_CONTEXT if there is none.
EMU_INTERNAL CUresult current_context_handle(CUcontext* out);

} // namespace emu::driver
