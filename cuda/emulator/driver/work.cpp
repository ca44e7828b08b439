// SPDX-License-Identifier: Apache-2.0
#include "work.h"


#include <algorithm>
#include <cstring>
#include <iterator>
#include <thread>

namespace emu::driver {
namespace {

bool in_some_allocation(const void* p) {
  void* start;
  size_t bytes;
  return emu::device_find(p, &start, &bytes);
}

const std::pair<const uintptr_t, HostMemory>* pinned_range_of(const void* p) {
  auto address = reinterpret_cast<uintptr_t>(p);
  auto& ranges = state().host_memory;
  auto after = ranges.upper_bound(address);
  if (after == ranges.begin()) return nullptr;
  auto& range = *std::prev(after);
  return address < range.first + range.second.bytes ? &range : nullptr;
}

// Ordinary host memory cannot be checked; what begins in memory that we know must also end there.
bool reachable(const void* p, size_t bytes, CopyWork::Side side) {
  if (!p) return false;
  if (in_device_memory(p, bytes) || in_pinned_memory(p, bytes)) return true;
  return side != CopyWork::DEVICE && !in_some_allocation(p) && !pinned_range_of(p);
}

size_t extent(const CopyWork& copy, size_t pitch, size_t slice) {
  return (copy.depth - 1) * slice + (copy.height - 1) * pitch + copy.width;
}

const Function* function_of(const Context& context, CUfunction handle) {
  auto* function = state().registry.find<Function>(handle);
  return function && function->context == &context ? function : nullptr;
}

bool is_empty(const CopyWork& copy) { return copy.width == 0 || copy.height == 0 || copy.depth == 0; }
bool is_empty(const FillWork& fill) { return fill.width == 0 || fill.height == 0; }

CUresult check_one(const Context&, const CopyWork& copy) {
  if (is_empty(copy)) return CUDA_SUCCESS;
  bool rows = copy.height > 1, slices = copy.depth > 1;
  if (rows && (copy.to_pitch < copy.width || copy.from_pitch < copy.width)) return CUDA_ERROR_INVALID_VALUE;
  if (slices && (copy.to_slice < copy.width || copy.from_slice < copy.width)) return CUDA_ERROR_INVALID_VALUE;
  bool ok = reachable(copy.to, extent(copy, copy.to_pitch, copy.to_slice), copy.to_side) &&
            reachable(copy.from, extent(copy, copy.from_pitch, copy.from_slice), copy.from_side);
  return ok ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}

CUresult check_one(const Context&, const FillWork& fill) {
  if (is_empty(fill)) return CUDA_SUCCESS;
  size_t row = fill.width * fill.size;
  if (fill.height > 1 && (fill.pitch < row || fill.pitch % fill.size)) return CUDA_ERROR_INVALID_VALUE;
  if (reinterpret_cast<uintptr_t>(fill.to) % fill.size) return CUDA_ERROR_INVALID_VALUE;
  bool ok = reachable(fill.to, (fill.height - 1) * fill.pitch + row, CopyWork::DEVICE);
  return ok ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}

CUresult check_one(const Context& context, const KernelWork& kernel) {
  return function_of(context, kernel.function) ? CUDA_SUCCESS : CUDA_ERROR_INVALID_HANDLE;
}

CUresult check_one(const Context&, const RecordWork& record) {
  return state().registry.find<Event>(record.event) ? CUDA_SUCCESS : CUDA_ERROR_INVALID_HANDLE;
}

template <class Other> CUresult check_one(const Context&, const Other&) { return CUDA_SUCCESS; }

void written(void* p, size_t bytes) {
  if (in_device_memory(p, bytes)) emu::device_written(p, bytes);
}

CUresult run_one(Context&, const CopyWork& copy) {
  if (is_empty(copy)) return CUDA_SUCCESS;
  for (size_t z = 0; z < copy.depth; z++) {
    for (size_t y = 0; y < copy.height; y++) {
      char* to = copy.to + z * copy.to_slice + y * copy.to_pitch;
      std::memmove(to, copy.from + z * copy.from_slice + y * copy.from_pitch, copy.width);
      written(to, copy.width);
    }
  }
  return CUDA_SUCCESS;
}

CUresult run_one(Context&, const FillWork& fill) {
  for (size_t y = 0; y < fill.height; y++) {
    char* row = fill.to + y * fill.pitch;
    switch (fill.size) {
    case 1: std::memset(row, int(fill.value), fill.width); break;
    case 2: std::fill_n(reinterpret_cast<uint16_t*>(row), fill.width, uint16_t(fill.value)); break;
    default: std::fill_n(reinterpret_cast<uint32_t*>(row), fill.width, uint32_t(fill.value)); break;
    }
    written(row, fill.width * fill.size);
  }
  return CUDA_SUCCESS;
}

// In a thread of its own, as in CUDA, and without the lock: other threads may use the device meanwhile.
CUresult run_one(Context& context, const HostWork& work) {
  Unlocked unlocked;
  std::thread([&work] {
    in_host_function = true;
    work.function(work.user_data);
  }).join();
  return context.alive ? CUDA_SUCCESS : CUDA_ERROR_CONTEXT_IS_DESTROYED;
}

CUresult run_one(Context& context, const KernelWork& kernel) {
  const Function* function = function_of(context, kernel.function);
  if (!function) return CUDA_ERROR_INVALID_HANDLE;
  return run_kernel(context, *function, kernel.arguments.values(), kernel.config);
}

CUresult run_one(Context&, const RecordWork& record) {
  auto* event = state().registry.find<Event>(record.event);
  if (!event) return CUDA_ERROR_INVALID_HANDLE;
  event->recorded = true;
  event->capture_id = 0;
  event->time = std::chrono::steady_clock::now();
  return CUDA_SUCCESS;
}

CUresult run_one(Context&, const LibraryWork& library) { return library.body(); }
CUresult run_one(Context&, const EmptyWork&) { return CUDA_SUCCESS; }
CUresult run_one(Context&, const WaitWork&) { return CUDA_SUCCESS; } // whatever it waits for has run

} // namespace

Arguments::Arguments(const emu::Kernel& kernel, void** values) : block_(std::make_shared<Block>()) {
  std::vector<size_t> offsets;
  size_t end = 0;
  for (int i = 0; i < kernel.parameters; i++) {
    offsets.push_back((end + 15) / 16 * 16);
    end = offsets.back() + kernel.parameter_size[i];
  }
  block_->bytes.resize(end);
  for (int i = 0; i < kernel.parameters; i++) {
    unsigned char* value = block_->bytes.data() + offsets[i];
    std::memcpy(value, values[i], kernel.parameter_size[i]);
    block_->values.push_back(value);
  }
}

bool in_device_memory(const void* p, size_t bytes) { return emu::device_range(p, bytes); }

bool in_pinned_memory(const void* p, size_t bytes) {
  auto* range = pinned_range_of(p);
  return range && bytes <= range->first + range->second.bytes - reinterpret_cast<uintptr_t>(p);
}

CUgraphNodeType type_of(const Work& work) {
  // in the order of Work's alternatives; a library's work counts as a kernel
  constexpr CUgraphNodeType TYPES[] = {NODE_EMPTY, NODE_KERNEL,       NODE_MEMCPY,     NODE_MEMSET,
                                       NODE_HOST,  NODE_EVENT_RECORD, NODE_WAIT_EVENT, NODE_KERNEL};
  static_assert(std::size(TYPES) == std::variant_size_v<Work>);
  return TYPES[work.index()];
}

CUresult check(const Context& context, const Work& work) {
  return std::visit([&](const auto& one) { return check_one(context, one); }, work);
}

CUresult run_kernel(Context& context, const Function& function, void** arguments, const emu::LaunchConfig& config) {
  CUresult result = emu::launch(*function.kernel, arguments, config);
  bool device_failed = result == emu::kIllegalAddress || result == emu::kLaunchFailed;
  return device_failed ? fault(context, result) : result;
}

CUresult run(Context& context, const Work& work) {
  return std::visit([&](const auto& one) { return run_one(context, one); }, work);
}

} // namespace emu::driver
