// SPDX-License-Identifier: Apache-2.0
// Device memory, pinned host memory and questions about pointers. One address space: a host pointer to pinned memory is
// also its device pointer, as on any 64-bit system with unified addressing.
#include <cstdlib>
#include <iterator>

#include "capture.h"

namespace emu::driver {
namespace {

constexpr size_t PAGE = 4096;
constexpr size_t PITCH = 512; // of cuMemAllocPitch

CUresult allocate(Context& context, CUdeviceptr* out, size_t bytes) {
  if (!out || !bytes) return CUDA_ERROR_INVALID_VALUE;
  if (!emu::create(DEVICE_MEMORY)) return CUDA_ERROR_OUT_OF_MEMORY;
  void* memory = emu::device_alloc(bytes);
  if (!memory) return emu::destroyed(DEVICE_MEMORY), CUDA_ERROR_OUT_OF_MEMORY;
  state().device_memory[reinterpret_cast<uintptr_t>(memory)] = {&context, state().next_id++};
  *out = reinterpret_cast<CUdeviceptr>(memory);
  return CUDA_SUCCESS;
}

CUresult release(CUdeviceptr address) {
  if (!address) return CUDA_SUCCESS;
  auto found = state().device_memory.find(address);
  if (found == state().device_memory.end()) return CUDA_ERROR_INVALID_VALUE;
  state().device_memory.erase(found);
  emu::destroyed(DEVICE_MEMORY);
  return emu::device_free(reinterpret_cast<void*>(address)) ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}

// A live range of device or pinned memory around an address
struct Range {
  uintptr_t start;
  size_t bytes;
  const DeviceMemory* device;
  const HostMemory* host;
};

bool find_range(CUdeviceptr address, Range& range) {
  void* start;
  size_t bytes;
  if (emu::device_find(reinterpret_cast<void*>(address), &start, &bytes)) {
    auto known = state().device_memory.find(reinterpret_cast<uintptr_t>(start));
    if (known == state().device_memory.end()) return false;
    range = {known->first, bytes, &known->second, nullptr};
    return true;
  }
  auto after = state().host_memory.upper_bound(address);
  if (after == state().host_memory.begin()) return false;
  auto& before = *std::prev(after);
  if (address >= before.first + before.second.bytes) return false;
  range = {before.first, before.second.bytes, nullptr, &before.second};
  return true;
}

enum PointerAttribute { // CUpointer_attribute
  CONTEXT = 1,
  MEMORY_TYPE = 2,
  DEVICE_POINTER = 3,
  HOST_POINTER = 4,
  SYNC_MEMOPS = 6,
  BUFFER_ID = 7,
  IS_MANAGED = 8,
  DEVICE_ORDINAL = 9,
  RANGE_START = 11,
  RANGE_SIZE = 12,
  MAPPED = 13,
};

template <class T> void put(void* out, T value) { *static_cast<T*>(out) = value; }

CUresult pointer_attribute(void* out, int attribute, CUdeviceptr address, const Range& range) {
  const Context* owner = range.device ? range.device->context : range.host->context;
  switch (attribute) {
  case CONTEXT: put(out, handle_of<CUcontext>(owner)); break;
  case MEMORY_TYPE: put<unsigned>(out, range.device ? CU_MEMORYTYPE_DEVICE : CU_MEMORYTYPE_HOST); break;
  case DEVICE_POINTER: put(out, address); break;
  case HOST_POINTER:
    if (range.device) return CUDA_ERROR_INVALID_VALUE;
    put(out, address);
    break;
  case SYNC_MEMOPS: put<unsigned>(out, 0); break;
  case BUFFER_ID: put<unsigned long long>(out, range.device ? range.device->id : 0); break;
  case IS_MANAGED: put<unsigned>(out, 0); break;
  case DEVICE_ORDINAL: put<int>(out, 0); break;
  case RANGE_START: put<CUdeviceptr>(out, range.start); break;
  case RANGE_SIZE: put<size_t>(out, range.bytes); break;
  case MAPPED: put<int>(out, 1); break;
  default: return CUDA_ERROR_NOT_SUPPORTED;
  }
  return CUDA_SUCCESS;
}

bool overlaps_pinned(uintptr_t start, size_t bytes) {
  auto after = state().host_memory.lower_bound(start + bytes);
  if (after == state().host_memory.begin()) return false;
  auto& before = *std::prev(after);
  return before.first + before.second.bytes > start;
}

void pin(Context& context, void* p, size_t bytes, unsigned flags, bool registered) {
  state().host_memory[reinterpret_cast<uintptr_t>(p)] = {&context, bytes, flags, registered};
  emu::host_memory_added(p, bytes);
}

CUresult release_host(void* p, bool registered, CUresult unknown) {
  auto found = state().host_memory.find(reinterpret_cast<uintptr_t>(p));
  if (found == state().host_memory.end() || found->second.registered != registered) return unknown;
  state().host_memory.erase(found);
  emu::host_memory_removed(p);
  if (!registered) {
    emu::destroyed(PINNED_MEMORY);
    std::free(p);
  }
  return CUDA_SUCCESS;
}

// For calls that wait for the device, and so must not meet a capture
template <class Body> CUresult with_quiet_context(const Body& body) {
  return with_context([&](Context& context) -> CUresult {
    CUresult refused = refuse_during_capture();
    return refused ? refused : body(context);
  });
}

// Stream-ordered allocation, which may not be captured here
template <class Body> CUresult with_uncaptured(CUstream handle, const Body& body) {
  return with_context([&](Context& context) -> CUresult {
    Stream* stream;
    if (CUresult error = find_stream(context, handle, stream)) return error;
    if (stream->capture) {
      complain("stream-ordered allocation cannot be captured into a graph");
      return stream->capture->invalidated = true, CUDA_ERROR_NOT_SUPPORTED;
    }
    return body(context);
  });
}

} // namespace
} // namespace emu::driver

using namespace emu::driver;

CUDA_API CUresult cuMemAlloc_v2(CUdeviceptr* out, size_t bytes) {
  return with_quiet_context([&](Context& context) { return allocate(context, out, bytes); });
}

CUDA_API CUresult cuMemAllocAsync(CUdeviceptr* out, size_t bytes, CUstream stream) {
  return with_uncaptured(stream, [&](Context& context) { return allocate(context, out, bytes); });
}

CUDA_API CUresult cuMemAllocPitch_v2(CUdeviceptr* out, size_t* pitch, size_t width, size_t height, unsigned element) {
  return with_quiet_context([&](Context& context) -> CUresult {
    bool ok = pitch && width && height && (element == 4 || element == 8 || element == 16);
    if (!ok) return CUDA_ERROR_INVALID_VALUE;
    *pitch = (width + PITCH - 1) / PITCH * PITCH;
    return allocate(context, out, *pitch * height);
  });
}

CUDA_API CUresult cuMemFree_v2(CUdeviceptr address) {
  return with_quiet_context([&](Context&) { return release(address); });
}

CUDA_API CUresult cuMemFreeAsync(CUdeviceptr address, CUstream stream) {
  return with_uncaptured(stream, [&](Context&) -> CUresult {
    return address ? release(address) : CUDA_ERROR_INVALID_VALUE;
  });
}

CUDA_API CUresult cuMemGetInfo_v2(size_t* free, size_t* total) {
  return with_context([&](Context&) -> CUresult {
    if (!free || !total) return CUDA_ERROR_INVALID_VALUE;
    *total = emu::device_total();
    *free = *total - emu::device_used();
    return CUDA_SUCCESS;
  });
}

CUDA_API CUresult cuMemGetAddressRange_v2(CUdeviceptr* start, size_t* bytes, CUdeviceptr address) {
  return with_context([&](Context&) -> CUresult {
    Range range;
    if (!find_range(address, range)) return CUDA_ERROR_NOT_FOUND;
    if (start) *start = range.start;
    if (bytes) *bytes = range.bytes;
    return CUDA_SUCCESS;
  });
}

CUDA_API CUresult cuMemHostAlloc(void** out, size_t bytes, unsigned flags) {
  return with_quiet_context([&](Context& context) -> CUresult {
    if (!out || !bytes || flags > 7) return CUDA_ERROR_INVALID_VALUE;
    void* memory = bytes > SIZE_MAX - PAGE ? nullptr : std::aligned_alloc(PAGE, (bytes + PAGE - 1) / PAGE * PAGE);
    if (!memory) return CUDA_ERROR_OUT_OF_MEMORY;
    if (!emu::create(PINNED_MEMORY)) return std::free(memory), CUDA_ERROR_OUT_OF_MEMORY;
    pin(context, memory, bytes, flags, false);
    *out = memory;
    return CUDA_SUCCESS;
  });
}

CUDA_API CUresult cuMemAllocHost_v2(void** out, size_t bytes) { return cuMemHostAlloc(out, bytes, 0); }

CUDA_API CUresult cuMemFreeHost(void* p) {
  return with_quiet_context([&](Context&) -> CUresult {
    return p ? release_host(p, false, CUDA_ERROR_INVALID_VALUE) : CUDA_SUCCESS;
  });
}

CUDA_API CUresult cuMemHostRegister_v2(void* p, size_t bytes, unsigned flags) {
  return with_quiet_context([&](Context& context) -> CUresult {
    if (!p || !bytes || flags > 15) return CUDA_ERROR_INVALID_VALUE;
    if (overlaps_pinned(reinterpret_cast<uintptr_t>(p), bytes)) return CUDA_ERROR_HOST_MEMORY_ALREADY_REGISTERED;
    pin(context, p, bytes, flags, true);
    return CUDA_SUCCESS;
  });
}

CUDA_API CUresult cuMemHostUnregister(void* p) {
  return with_quiet_context([&](Context&) -> CUresult {
    return p ? release_host(p, true, CUDA_ERROR_HOST_MEMORY_NOT_REGISTERED) : CUDA_ERROR_INVALID_VALUE;
  });
}

CUDA_API CUresult cuMemHostGetDevicePointer_v2(CUdeviceptr* out, void* p, unsigned flags) {
  return with_context([&](Context&) -> CUresult {
    if (!out || flags || !in_pinned_memory(p, 1)) return CUDA_ERROR_INVALID_VALUE;
    *out = reinterpret_cast<CUdeviceptr>(p);
    return CUDA_SUCCESS;
  });
}

CUDA_API CUresult cuMemHostGetFlags(unsigned* flags, void* p) {
  return with_context([&](Context&) -> CUresult {
    Range range;
    if (!flags || !find_range(reinterpret_cast<CUdeviceptr>(p), range) || !range.host || range.host->registered) {
      return CUDA_ERROR_INVALID_VALUE;
    }
    *flags = range.host->flags;
    return CUDA_SUCCESS;
  });
}

CUDA_API CUresult cuPointerGetAttribute(void* out, int attribute, CUdeviceptr address) {
  return with_context([&](Context&) -> CUresult {
    Range range;
    if (!out || !find_range(address, range)) return CUDA_ERROR_INVALID_VALUE;
    return pointer_attribute(out, attribute, address, range);
  });
}

// Unlike the single question this one answers zeros about a pointer that CUDA does not know.
CUDA_API CUresult cuPointerGetAttributes(unsigned count, int* attributes, void** out, CUdeviceptr address) {
  return with_context([&](Context&) -> CUresult {
    if (!attributes || !out) return CUDA_ERROR_INVALID_VALUE;
    Range range;
    bool known = find_range(address, range);
    for (unsigned i = 0; i < count; i++) {
      if (!out[i]) return CUDA_ERROR_INVALID_VALUE;
      bool small = attributes[i] == MEMORY_TYPE || attributes[i] == SYNC_MEMOPS || attributes[i] == IS_MANAGED ||
                   attributes[i] == DEVICE_ORDINAL || attributes[i] == MAPPED;
      if (small) put<unsigned>(out[i], 0);
      else put<uint64_t>(out[i], 0);
      CUresult error = known ? pointer_attribute(out[i], attributes[i], address, range) : CUDA_SUCCESS;
      if (error == CUDA_ERROR_NOT_SUPPORTED) return error;
    }
    return CUDA_SUCCESS;
  });
}
