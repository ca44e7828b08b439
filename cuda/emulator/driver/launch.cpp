// SPDX-License-Identifier: Apache-2.0
#include "launch.h"

#include "capture.h"
#include "limits.h"

namespace emu::driver {

static bool shape_fits(const LaunchShape& s) {
  for (int i = 0; i < 3; i++) {
    if (!s.grid[i] || !s.block[i] || s.block[i] > kMaxThreads) return false;
  }
  return s.grid[0] <= MAX_GRID_X && s.grid[1] <= MAX_GRID_YZ && s.grid[2] <= MAX_GRID_YZ && s.block[2] <= MAX_BLOCK_Z &&
         s.block[0] * s.block[1] * s.block[2] <= kMaxThreads;
}

CUresult prepare_launch(const Context& context, CUfunction handle, const LaunchShape& shape, void** parameters,
                        void** extra, const Function*& function, emu::LaunchConfig& config) {
  auto* found = state().registry.find<Function>(handle);
  if (!found || found->context != &context) return CUDA_ERROR_INVALID_HANDLE;
  function = found;
  if (!shape_fits(shape) || shape.shared > unsigned(function->max_dynamic_shared)) return CUDA_ERROR_INVALID_VALUE;
  if (extra && parameters) return CUDA_ERROR_INVALID_VALUE;
  if (extra) {
    complain("launch of %s: parameters by `extra` are not supported", function->kernel->name);
    return CUDA_ERROR_NOT_SUPPORTED;
  }
  if (!parameters && function->kernel->parameters) return CUDA_ERROR_INVALID_VALUE;
  for (int i = 0; i < function->kernel->parameters; i++) {
    if (!parameters[i]) return CUDA_ERROR_INVALID_VALUE;
  }
  for (int i = 0; i < 3; i++) {
    config.grid[i] = shape.grid[i];
    config.block[i] = shape.block[i];
  }
  config.dynamic_smem = shape.shared;
  config.max_dynamic_smem = size_t(function->max_dynamic_shared);
  return CUDA_SUCCESS;
}

static CUresult launch(CUfunction handle, const LaunchShape& shape, CUstream stream_handle, void** parameters,
                       void** extra) {
  return with_context([&](Context& context) -> CUresult {
    Stream* stream;
    const Function* function;
    emu::LaunchConfig config;
    if (CUresult error = find_stream(context, stream_handle, stream)) return error;
    if (stream->context != &context) return CUDA_ERROR_INVALID_HANDLE;
    if (CUresult error = prepare_launch(context, handle, shape, parameters, extra, function, config)) return error;
    if (CUresult error = refuse_default_stream(context, *stream)) return error;
    if (!stream->capture) return run_kernel(context, *function, parameters, config);
    return record(*stream, KernelWork{handle, config, Arguments(*function->kernel, parameters)});
  });
}

} // namespace emu::driver

using namespace emu::driver;

CUDA_API CUresult cuLaunchKernel(CUfunction function, unsigned grid_x, unsigned grid_y, unsigned grid_z,
                                 unsigned block_x, unsigned block_y, unsigned block_z, unsigned shared, CUstream stream,
                                 void** parameters, void** extra) {
  return launch(function, {{grid_x, grid_y, grid_z}, {block_x, block_y, block_z}, shared}, stream, parameters, extra);
}

// Attributes (overlapping launches, clusters of one block, priorities) say how fast, not what: they are ignored.
CUDA_API CUresult cuLaunchKernelEx(const CUlaunchConfig* c, CUfunction function, void** parameters, void** extra) {
  if (!c || (c->numAttrs && !c->attrs)) return CUDA_ERROR_INVALID_VALUE;
  return cuLaunchKernel(function, c->gridDimX, c->gridDimY, c->gridDimZ, c->blockDimX, c->blockDimY, c->blockDimZ,
                        c->sharedMemBytes, c->hStream, parameters, extra);
}

CUDA_API CUresult cuLaunchHostFunc(CUstream handle, CUhostFn function, void* user_data) {
  return with_context([&](Context& context) -> CUresult {
    Stream* stream;
    if (!function) return CUDA_ERROR_INVALID_VALUE;
    if (CUresult error = find_stream(context, handle, stream)) return error;
    return submit(context, *stream, HostWork{function, user_data});
  });
}
