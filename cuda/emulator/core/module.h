// SPDX-License-Identifier: Apache-2.0
// What the kinds of modules have in common, and what the check build asks about addresses that are not device memory.
#pragma once
#include <cstddef>
#include <string>

#include "core.h"

namespace emu {

struct Module {
  virtual ~Module() = default;
  virtual bool contains(const void*) const { return false; }  // is it in the module's image (constants and tables of host kernels)?
  virtual bool global(const char*, void**, size_t*) const { return false; }

  const Kernel* kernels = nullptr;
};

// Both are called with the lock of the modules held; the kernels register themselves.
Module* load_host_module(const void* image, size_t size, std::string& error);                  // host_module.cpp
Module* load_ptx_module(const void* image, size_t size, std::string& error, Result& result);  // ptx/module.cpp

// By the first four bytes: PTX text, or a fat binary
bool is_ptx_image(const std::string& start);  // ptx/module.cpp

// Is p in the image of a loaded module (constants and tables of kernels)? module.cpp
bool module_contains(const void* p);

// Is [p, p + n) in host memory that the device may use (host_memory_added)? device_memory.cpp
bool host_memory_contains(const void* p, size_t n);

}  // namespace emu
