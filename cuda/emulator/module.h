// SPDX-License-Identifier: Apache-2.0
// What the check build asks about addresses that are not device memory.
#pragma once
#include <cstddef>

namespace emu {

// Is p in the image of a loaded module (constants and tables of kernels)? module.cpp
bool module_contains(const void* p);

// Is [p, p + n) in host memory that the device may use (host_memory_added)? device_memory.cpp
bool host_memory_contains(const void* p, size_t n);

}  // namespace emu
