// SPDX-License-Identifier: Apache-2.0
// The few declarations of the CUDA driver that this library needs, in CUDA's ABI, and the driver's functions: looked up in the
// libcuda.so.1 that the process has loaded already, which is a GPU's or the emulated device's.
#pragma once

#include <cstddef>
#include <cstdint>

namespace dvl {

using CUresult = int;
using CUfunction = void*;
using CUstream = void*;

// Answered instead of a CUresult when the loaded driver does not have the function.
constexpr CUresult NO_SUCH_FUNCTION = -1;

struct CUlaunchAttribute {
  int id;
  int pad;
  union {
    int programmatic;
    char bytes[64];
  };
};

struct CUlaunchConfig {
  unsigned grid[3], block[3], shared_bytes;
  CUstream stream;
  CUlaunchAttribute* attributes;
  unsigned count;
};

static_assert(sizeof(CUlaunchAttribute) == 72 && sizeof(CUlaunchConfig) == 56, "CUDA's ABI");

// Address of a function of the loaded driver, or nullptr.
void* driver_symbol(const char* name);

// A function by name, looked up at first use.
template <class... Arguments> class DriverFunction {
public:
  explicit DriverFunction(const char* name) : call_(reinterpret_cast<CUresult (*)(Arguments...)>(driver_symbol(name))) {}
  CUresult operator()(Arguments... arguments) const { return call_ ? call_(arguments...) : NO_SUCH_FUNCTION; }

private:
  CUresult (*call_)(Arguments...);
};

// Java passes addresses as jlong.
template <class T> T* at(int64_t address) { return reinterpret_cast<T*>(address); }

} // namespace dvl
