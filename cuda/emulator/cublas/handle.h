// SPDX-License-Identifier: Apache-2.0
// cuBLAS types and handles of the facade.
#pragma once

#include <cstdint>

#include "../core/complain.h"
#include "../driver/cuda_types.h"
#include "../driver/submit.h"

using cublasHandle_t = struct cublasContext*;
using cublasStatus_t = int;

enum : cublasStatus_t {
  CUBLAS_STATUS_SUCCESS = 0,
  CUBLAS_STATUS_NOT_INITIALIZED = 1,
  CUBLAS_STATUS_ALLOC_FAILED = 3,
  CUBLAS_STATUS_INVALID_VALUE = 7,
  CUBLAS_STATUS_ARCH_MISMATCH = 8,
  CUBLAS_STATUS_MAPPING_ERROR = 11,
  CUBLAS_STATUS_EXECUTION_FAILED = 13,
  CUBLAS_STATUS_INTERNAL_ERROR = 14,
  CUBLAS_STATUS_NOT_SUPPORTED = 15,
  CUBLAS_STATUS_LICENSE_ERROR = 16,
};

enum PointerMode : int { POINTER_MODE_HOST = 0, POINTER_MODE_DEVICE = 1 };

namespace emu::blas {

struct Settings {
  CUcontext context = nullptr; // current when the handle was made; the only one that it works in
  CUstream stream = nullptr;
  int pointer_mode = POINTER_MODE_HOST;
  int atomics_mode = 0;
  int math_mode = 0;
  int sm_count_target = 0;
};

// A copy of the handle's settings; false if there is no such handle.
bool find_handle(cublasHandle_t handle, Settings& out);

} // namespace emu::blas
