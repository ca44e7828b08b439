// SPDX-License-Identifier: Apache-2.0
// Entry points that exist so that JCublas2's native library can be bound, and say what is missing when they are called.
// They take no parameters: by the calling convention of x86-64, whatever the caller passes is simply not looked at.
#include <atomic>

#include "handle.h"

static cublasStatus_t unsupported(const char* name, std::atomic<bool>& told) {
  if (!told.exchange(true)) emu::complain("%s is not supported", name);
  return CUBLAS_STATUS_NOT_SUPPORTED;
}

#define UNSUPPORTED(name)                                                                                              \
  CUDA_API cublasStatus_t name() {                                                                                     \
    static std::atomic<bool> told{false};                                                                              \
    return unsupported(#name, told);                                                                                   \
  }
#include "unsupported_symbols.def"
