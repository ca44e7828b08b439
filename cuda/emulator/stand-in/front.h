// SPDX-License-Identifier: Apache-2.0
// What stands in front of the emulated driver: a library that is called libcuda.so.1, defines some functions itself and leaves the others
// to libcuda-behind.so. The loader finds those here first.
#pragma once
#include <cstdio>
#include <cstdlib>
#include <dlfcn.h>

#define FRONT extern "C" __attribute__((visibility("default")))

constexpr int COMPUTE_CAPABILITY_MAJOR = 75, COMPUTE_CAPABILITY_MINOR = 76, IS_EMULATED = 0x64766c;

// The function of the same name behind this library.
template <class F> F behind(const char* name) { return reinterpret_cast<F>(dlsym(RTLD_NEXT, name)); }
