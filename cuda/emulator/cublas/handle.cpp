// SPDX-License-Identifier: Apache-2.0
// Handles, their settings, versions and the names of the status codes. A handle's value is a serial number that is
// never reused, so a destroyed or foreign handle is noticed and never followed.
#include "handle.h"

#include <mutex>
#include <unordered_map>

#include "../core/core.h"

namespace emu::blas {
namespace {

constexpr int VERSION = 120600; // 12.6.0
constexpr const char* HANDLE = "cuBLAS handle";
constexpr int MATH_MODES = 0x1f; // the modes and their flags

struct Handles {
  std::mutex mutex;
  std::unordered_map<cublasHandle_t, Settings> live;
  uintptr_t next = 0xb1a5'0000'0000;
};

Handles& handles() {
  static Handles* instance = new Handles; // never destroyed: other threads may still call in at exit
  return *instance;
}

template <class Body> cublasStatus_t with_handle(cublasHandle_t handle, const Body& body) {
  std::lock_guard<std::mutex> lock(handles().mutex);
  auto found = handles().live.find(handle);
  return found == handles().live.end() ? CUBLAS_STATUS_NOT_INITIALIZED : body(found->second);
}

template <class T> cublasStatus_t get(cublasHandle_t handle, T Settings::*field, T* out) {
  return with_handle(handle, [&](Settings& settings) {
    return out ? (*out = settings.*field, CUBLAS_STATUS_SUCCESS) : CUBLAS_STATUS_INVALID_VALUE;
  });
}

template <class T> cublasStatus_t set(cublasHandle_t handle, T Settings::*field, T value, bool valid) {
  return with_handle(handle, [&](Settings& settings) {
    return valid ? (settings.*field = value, CUBLAS_STATUS_SUCCESS) : CUBLAS_STATUS_INVALID_VALUE;
  });
}

struct StatusText {
  cublasStatus_t status;
  const char* name;
  const char* text;
};

constexpr StatusText TEXTS[] = {
    {CUBLAS_STATUS_SUCCESS, "CUBLAS_STATUS_SUCCESS", "success"},
    {CUBLAS_STATUS_NOT_INITIALIZED, "CUBLAS_STATUS_NOT_INITIALIZED", "the library was not initialized"},
    {CUBLAS_STATUS_ALLOC_FAILED, "CUBLAS_STATUS_ALLOC_FAILED", "the resource allocation failed"},
    {CUBLAS_STATUS_INVALID_VALUE, "CUBLAS_STATUS_INVALID_VALUE",
     "an unsupported value or parameter was passed to the function"},
    {CUBLAS_STATUS_ARCH_MISMATCH, "CUBLAS_STATUS_ARCH_MISMATCH",
     "the function requires an architectural feature absent from the device"},
    {CUBLAS_STATUS_MAPPING_ERROR, "CUBLAS_STATUS_MAPPING_ERROR", "an access to GPU memory space failed"},
    {CUBLAS_STATUS_EXECUTION_FAILED, "CUBLAS_STATUS_EXECUTION_FAILED", "the function failed to launch on the GPU"},
    {CUBLAS_STATUS_INTERNAL_ERROR, "CUBLAS_STATUS_INTERNAL_ERROR", "an internal operation failed"},
    {CUBLAS_STATUS_NOT_SUPPORTED, "CUBLAS_STATUS_NOT_SUPPORTED", "the functionality requested is not supported"},
    {CUBLAS_STATUS_LICENSE_ERROR, "CUBLAS_STATUS_LICENSE_ERROR", "the functionality requested requires some license"},
};

const char* text_of(cublasStatus_t status, const char* StatusText::*field) {
  for (const StatusText& entry : TEXTS) {
    if (entry.status == status) return entry.*field;
  }
  return "cublasStatus_t unknown";
}

} // namespace

bool find_handle(cublasHandle_t handle, Settings& out) {
  return with_handle(handle, [&](Settings& settings) { return out = settings, CUBLAS_STATUS_SUCCESS; }) ==
         CUBLAS_STATUS_SUCCESS;
}

} // namespace emu::blas

using namespace emu::blas;

CUDA_API cublasStatus_t cublasCreate_v2(cublasHandle_t* out) {
  if (!out) return CUBLAS_STATUS_INVALID_VALUE;
  Settings settings;
  if (emu::driver::current_context_handle(&settings.context)) {
    emu::complain("cublasCreate: the calling thread has no usable context");
    return CUBLAS_STATUS_NOT_INITIALIZED;
  }
  if (!emu::create(HANDLE)) return CUBLAS_STATUS_ALLOC_FAILED;
  std::lock_guard<std::mutex> lock(handles().mutex);
  *out = reinterpret_cast<cublasHandle_t>(handles().next += 16);
  handles().live[*out] = settings;
  return CUBLAS_STATUS_SUCCESS;
}

CUDA_API cublasStatus_t cublasDestroy_v2(cublasHandle_t handle) {
  std::lock_guard<std::mutex> lock(handles().mutex);
  if (!handles().live.erase(handle)) return CUBLAS_STATUS_NOT_INITIALIZED;
  emu::destroyed(HANDLE);
  return CUBLAS_STATUS_SUCCESS;
}

CUDA_API cublasStatus_t cublasGetVersion_v2(cublasHandle_t, int* version) {
  return version ? (*version = VERSION, CUBLAS_STATUS_SUCCESS) : CUBLAS_STATUS_INVALID_VALUE;
}

CUDA_API cublasStatus_t cublasGetProperty(int type, int* value) {
  if (!value || type < 0 || type > 2) return CUBLAS_STATUS_INVALID_VALUE;
  constexpr int PARTS[] = {VERSION / 10000, VERSION / 100 % 100, VERSION % 100};
  *value = PARTS[type];
  return CUBLAS_STATUS_SUCCESS;
}

CUDA_API size_t cublasGetCudartVersion() { return 12060; }

CUDA_API cublasStatus_t cublasSetStream_v2(cublasHandle_t handle, CUstream stream) {
  return set(handle, &Settings::stream, stream, true); // checked when it is used, as in cuBLAS
}
CUDA_API cublasStatus_t cublasGetStream_v2(cublasHandle_t handle, CUstream* stream) {
  return get(handle, &Settings::stream, stream);
}

// The product needs no workspace; what is given is checked as cuBLAS checks it and then ignored.
CUDA_API cublasStatus_t cublasSetWorkspace_v2(cublasHandle_t handle, void* workspace, size_t) {
  bool aligned = reinterpret_cast<uintptr_t>(workspace) % 256 == 0;
  return with_handle(handle, [&](Settings&) { return aligned ? CUBLAS_STATUS_SUCCESS : CUBLAS_STATUS_INVALID_VALUE; });
}

CUDA_API cublasStatus_t cublasSetPointerMode_v2(cublasHandle_t handle, int mode) {
  return set(handle, &Settings::pointer_mode, mode, mode == POINTER_MODE_HOST || mode == POINTER_MODE_DEVICE);
}
CUDA_API cublasStatus_t cublasGetPointerMode_v2(cublasHandle_t handle, int* mode) {
  return get(handle, &Settings::pointer_mode, mode);
}

CUDA_API cublasStatus_t cublasSetAtomicsMode(cublasHandle_t handle, int mode) {
  return set(handle, &Settings::atomics_mode, mode, mode == 0 || mode == 1);
}
CUDA_API cublasStatus_t cublasGetAtomicsMode(cublasHandle_t handle, int* mode) {
  return get(handle, &Settings::atomics_mode, mode);
}

// Kept without effect: every mode permits exact f32 products.
CUDA_API cublasStatus_t cublasSetMathMode(cublasHandle_t handle, int mode) {
  return set(handle, &Settings::math_mode, mode, (mode & ~MATH_MODES) == 0);
}
CUDA_API cublasStatus_t cublasGetMathMode(cublasHandle_t handle, int* mode) {
  return get(handle, &Settings::math_mode, mode);
}

CUDA_API cublasStatus_t cublasSetSmCountTarget(cublasHandle_t handle, int count) {
  return set(handle, &Settings::sm_count_target, count, count >= 0);
}
CUDA_API cublasStatus_t cublasGetSmCountTarget(cublasHandle_t handle, int* count) {
  return get(handle, &Settings::sm_count_target, count);
}

CUDA_API const char* cublasGetStatusName(cublasStatus_t status) { return text_of(status, &StatusText::name); }
CUDA_API const char* cublasGetStatusString(cublasStatus_t status) { return text_of(status, &StatusText::text); }
