// SPDX-License-Identifier: Apache-2.0
// Entry points that exist so that JCuda's native library can be bound, and say what is missing when they are called.
// They take no parameters: by the calling convention of x86-64, whatever the caller passes is simply not looked at.
#include <atomic>

#include "state.h"

static CUresult unsupported(const char* name, std::atomic<bool>& told) {
  if (!told.exchange(true)) emu::complain("%s is not supported", name);
  return CUDA_ERROR_NOT_SUPPORTED;
}

#define UNSUPPORTED(name)                                                                                              \
  CUDA_API CUresult name() {                                                                                           \
    static std::atomic<bool> told{false};                                                                              \
    return unsupported(#name, told);                                                                                   \
  }
#include "unsupported_symbols.def"
