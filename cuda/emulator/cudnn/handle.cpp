// SPDX-License-Identifier: Apache-2.0
// Handles, versions and the names of the status codes.
#include "handle.h"

namespace emu::dnn {
namespace {

constexpr size_t VERSION = 90700; // 9.7.0

struct StatusName {
  cudnnStatus_t status;
  const char* name;
};

constexpr StatusName NAMES[] = {
    {CUDNN_STATUS_SUCCESS, "CUDNN_STATUS_SUCCESS"},
    {CUDNN_STATUS_NOT_INITIALIZED, "CUDNN_STATUS_NOT_INITIALIZED"},
    {CUDNN_STATUS_BAD_PARAM, "CUDNN_STATUS_BAD_PARAM"},
    {CUDNN_STATUS_BAD_PARAM_NULL_POINTER, "CUDNN_STATUS_BAD_PARAM_NULL_POINTER"},
    {CUDNN_STATUS_NOT_SUPPORTED, "CUDNN_STATUS_NOT_SUPPORTED"},
    {CUDNN_STATUS_INTERNAL_ERROR, "CUDNN_STATUS_INTERNAL_ERROR"},
    {CUDNN_STATUS_INTERNAL_ERROR_DEVICE_ALLOCATION_FAILED, "CUDNN_STATUS_INTERNAL_ERROR_DEVICE_ALLOCATION_FAILED"},
    {CUDNN_STATUS_EXECUTION_FAILED, "CUDNN_STATUS_EXECUTION_FAILED"},
};

} // namespace

// Never destroyed: other threads may still call in at exit.
Registry<Handle>& handles() {
  static auto* instance = new Registry<Handle>("cuDNN handle", 0xd00'0000'0000);
  return *instance;
}

} // namespace emu::dnn

using namespace emu::dnn;

CUDA_API cudnnStatus_t cudnnCreate(void** out) {
  if (!out) return CUDNN_STATUS_BAD_PARAM_NULL_POINTER;
  Handle handle;
  if (emu::driver::current_context_handle(&handle.context)) {
    emu::complain("cudnnCreate: the calling thread has no usable context");
    return CUDNN_STATUS_NOT_INITIALIZED;
  }
  *out = handles().add(handle);
  return *out ? CUDNN_STATUS_SUCCESS : CUDNN_STATUS_INTERNAL_ERROR;
}

CUDA_API cudnnStatus_t cudnnDestroy(void* handle) {
  return handles().remove(handle) ? CUDNN_STATUS_SUCCESS : CUDNN_STATUS_BAD_PARAM;
}

// The stream is checked when it is used.
CUDA_API cudnnStatus_t cudnnSetStream(void* handle, CUstream stream) {
  return handles().change(handle, [&](Handle& found) { return found.stream = stream, CUDNN_STATUS_SUCCESS; });
}

CUDA_API cudnnStatus_t cudnnGetStream(void* handle, CUstream* stream) {
  if (!stream) return CUDNN_STATUS_BAD_PARAM_NULL_POINTER;
  return handles().change(handle, [&](Handle& found) { return *stream = found.stream, CUDNN_STATUS_SUCCESS; });
}

CUDA_API size_t cudnnGetVersion() { return VERSION; }
CUDA_API size_t cudnnGetCudartVersion() { return 12060; }

CUDA_API const char* cudnnGetErrorString(cudnnStatus_t status) {
  for (const StatusName& entry : NAMES) {
    if (entry.status == status) return entry.name;
  }
  return "CUDNN_UNKNOWN_STATUS";
}
