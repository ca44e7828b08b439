// SPDX-License-Identifier: Apache-2.0
// Initialisation and the device: one, an imaginary GPU whose multiprocessors are the CPUs.
#include <algorithm>
#include <cstdio>
#include <cstring>

#include "limits.h"
#include "state.h"

namespace emu::driver {
namespace {

constexpr char NAME[] = "Emulated CUDA device (CPU)";
constexpr char BUS_ID[] = "0000:00:00.0";

struct Attribute {
  int id;
  int value;
};

// By CUdevice_attribute; what is not listed is 0 (a feature that is absent).
constexpr Attribute ATTRIBUTES[] = {
    {1, int(kMaxThreads)},           // max threads per block
    {2, 1024},                       // max block dimensions
    {3, 1024},
    {4, int(MAX_BLOCK_Z)},
    {5, 2147483647},                 // max grid dimensions
    {6, int(MAX_GRID_YZ)},
    {7, int(MAX_GRID_YZ)},
    {8, int(kDefaultSharedMemory)},  // shared memory per block
    {9, 64 << 10},                   // constant memory
    {10, WARP},                      // warp size
    {11, 2147483647},                // max pitch
    {12, 64 << 10},                  // registers per block
    {13, 1000000},                   // clock, kHz
    {14, 512},                       // texture alignment
    {15, 1},                         // copies overlap with kernels
    {19, 1},                         // can map host memory
    {31, 1},                         // concurrent kernels
    {36, 1000000},                   // memory clock, kHz
    {37, 64},                        // bus width, bits
    {38, 1 << 20},                   // L2 bytes
    {40, 1},                         // copy engines
    {41, 1},                         // unified addressing
    {78, 1},                         // stream priorities
    {79, 1},                         // L1 for globals and locals
    {80, 1},
    {82, 64 << 10},                  // registers per multiprocessor
    {87, 2},                         // f32 : f64 speed
    {90, 1},                         // compute preemption
    {91, 1},                         // registered host memory has one address
    {111, int(kReservedSharedMemory)}, // shared memory that CUDA keeps per block
    {115, 1},                        // stream-ordered allocation
};
constexpr int LAST_ATTRIBUTE = 150;
constexpr int EMULATED_ATTRIBUTE = 0x64766c; // no CUDA attribute: how a program learns that this is no GPU

int attribute(int id) {
  switch (id) { // what the kind of GPU decides
  case 16: return multiprocessors();
  case 39: return gpu().threads;
  case 75: return gpu().major;
  case 76: return gpu().minor;
  case 81: return int(gpu().shared_memory);
  case 97: return int(gpu().max_shared_memory());
  case 106: return gpu().blocks;
  }
  for (const Attribute& a : ATTRIBUTES) {
    if (a.id == id) return a.value;
  }
  return 0;
}

template <class T, class Body> CUresult with_device(CUdevice device, T* out, const Body& body) {
  return with_driver([&]() -> CUresult {
    if (!out) return CUDA_ERROR_INVALID_VALUE;
    if (device != 0) return CUDA_ERROR_INVALID_DEVICE;
    return body();
  });
}

CUresult copy_text(const char* text, char* out, int length) {
  if (length <= 0) return CUDA_ERROR_INVALID_VALUE;
  std::snprintf(out, size_t(length), "%s", text);
  return CUDA_SUCCESS;
}

} // namespace

int multiprocessors() { return std::max(1, int(std::thread::hardware_concurrency())); }

} // namespace emu::driver

using namespace emu::driver;

CUDA_API CUresult cuInit(unsigned flags) {
  if (flags) return CUDA_ERROR_INVALID_VALUE;
  std::lock_guard<std::mutex> lock(state().mutex);
  state().initialized = true;
  return CUDA_SUCCESS;
}

CUDA_API CUresult cuDriverGetVersion(int* version) {
  if (!version) return CUDA_ERROR_INVALID_VALUE;
  *version = 13000;
  return CUDA_SUCCESS;
}

CUDA_API CUresult cuDeviceGetCount(int* count) {
  return with_device(0, count, [&] { return *count = 1, CUDA_SUCCESS; });
}

CUDA_API CUresult cuDeviceGet(CUdevice* device, int ordinal) {
  return with_device(ordinal, device, [&] { return *device = 0, CUDA_SUCCESS; });
}

CUDA_API CUresult cuDeviceGetName(char* name, int length, CUdevice device) {
  return with_device(device, name, [&] { return copy_text(NAME, name, length); });
}

CUDA_API CUresult cuDeviceGetUuid(CUuuid* uuid, CUdevice device) {
  return with_device(device, uuid, [&] { return std::memcpy(uuid->bytes, NAME, sizeof uuid->bytes), CUDA_SUCCESS; });
}

CUDA_API CUresult cuDeviceGetUuid_v2(CUuuid* uuid, CUdevice device) { return cuDeviceGetUuid(uuid, device); }

CUDA_API CUresult cuDeviceGetPCIBusId(char* id, int length, CUdevice device) {
  return with_device(device, id, [&] { return copy_text(BUS_ID, id, length); });
}

CUDA_API CUresult cuDeviceGetByPCIBusId(CUdevice* device, const char* id) {
  return with_device(0, device, [&]() -> CUresult {
    if (!id) return CUDA_ERROR_INVALID_VALUE;
    *device = 0;
    return std::strcmp(id, BUS_ID) == 0 ? CUDA_SUCCESS : CUDA_ERROR_INVALID_DEVICE;
  });
}

CUDA_API CUresult cuDeviceTotalMem_v2(size_t* bytes, CUdevice device) {
  return with_device(device, bytes, [&] { return *bytes = emu::device_total(), CUDA_SUCCESS; });
}

CUDA_API CUresult cuDeviceGetAttribute(int* value, int id, CUdevice device) {
  return with_device(device, value, [&]() -> CUresult {
    if ((id <= 0 || id > LAST_ATTRIBUTE) && id != EMULATED_ATTRIBUTE) return CUDA_ERROR_INVALID_VALUE;
    *value = id == EMULATED_ATTRIBUTE ? 1 : attribute(id);
    return CUDA_SUCCESS;
  });
}

CUDA_API CUresult cuDeviceComputeCapability(int* major, int* minor, CUdevice device) {
  return with_device(device, major, [&]() -> CUresult {
    if (!minor) return CUDA_ERROR_INVALID_VALUE;
    *major = attribute(75);
    *minor = attribute(76);
    return CUDA_SUCCESS;
  });
}

CUDA_API CUresult cuDeviceGetProperties(CUdevprop* out, CUdevice device) {
  return with_device(device, out, [&] {
    *out = {attribute(1), {attribute(2), attribute(3), attribute(4)}, {attribute(5), attribute(6), attribute(7)},
            attribute(8), attribute(9), attribute(10), attribute(11), attribute(12), attribute(13), attribute(14)};
    return CUDA_SUCCESS;
  });
}

CUDA_API CUresult cuDeviceCanAccessPeer(int* can, CUdevice device, CUdevice peer) {
  return with_device(device, can, [&]() -> CUresult {
    if (peer != 0) return CUDA_ERROR_INVALID_DEVICE;
    *can = 0;
    return CUDA_SUCCESS;
  });
}

CUDA_API CUresult cuProfilerStart() {
  return with_context([](Context&) { return CUDA_SUCCESS; });
}
CUDA_API CUresult cuProfilerStop() { return cuProfilerStart(); }
