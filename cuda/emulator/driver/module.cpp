// SPDX-License-Identifier: Apache-2.0
// Modules, functions and occupancy. The image of a module is PTX or a host module (see core.h); machine code of GPUs is refused.
#include <algorithm>
#include <cstring>
#include <fstream>
#include <iterator>

#include "capture.h"
#include "limits.h"

namespace emu::driver {
namespace {

enum FunctionAttribute { // CUfunction_attribute
  MAX_THREADS = 0,
  STATIC_SHARED = 1,
  CONSTANT_BYTES = 2,
  LOCAL_BYTES = 3,
  REGISTERS = 4,
  PTX_VERSION = 5,
  BINARY_VERSION = 6,
  CACHE_MODE = 7,
  MAX_DYNAMIC_SHARED = 8,
  CARVEOUT = 9,
};

constexpr unsigned short ELF_MACHINE_CUDA = 190;

bool is_cubin(const unsigned char* image) {
  unsigned short machine;
  if (image[0] == 0 || std::memcmp(image, "\177ELF", 4) != 0) return false;
  std::memcpy(&machine, image + 18, sizeof machine); // e_machine
  return machine == ELF_MACHINE_CUDA;
}

// Options of the compiler for PTX (CUjit_option): what it says about a module that it refuses.
enum JitOption { ERROR_LOG = 5, ERROR_LOG_BYTES = 6 };
struct ErrorLog {
  char* text = nullptr;
  size_t bytes = 0;
  void** used = nullptr; // the option's value becomes the length of what is there
};

void write_log(const ErrorLog& log, const std::string& text) {
  size_t n = log.bytes ? std::min(text.size(), log.bytes - 1) : 0;
  if (log.text && log.bytes) {
    std::memcpy(log.text, text.data(), n);
    log.text[n] = 0;
  }
  if (log.used) *log.used = reinterpret_cast<void*>(n);
}

// size 0: as the image itself says
CUresult load(Context& context, const void* image, size_t size, CUmodule* out, const ErrorLog& log = {}) {
  if (!out || !image) return CUDA_ERROR_INVALID_VALUE;
  if (CUresult error = refuse_during_capture()) return error;
  if (is_cubin(static_cast<const unsigned char*>(image))) {
    complain("the module is a cubin, which needs a GPU; the emulated device runs PTX and host modules");
    return CUDA_ERROR_NO_BINARY_FOR_GPU;
  }
  std::string reason;
  emu::Result result;
  emu::Module* loaded = emu::module_load(image, size, reason, &result);
  write_log(log, loaded ? "" : reason);
  if (!loaded) {
    complain("the module cannot be loaded: %s", reason.c_str());
    return CUresult(result);
  }
  auto module = std::make_unique<Module>();
  module->image = loaded;
  *out = handle_of<CUmodule>(state().registry.add(std::move(module), &context));
  return CUDA_SUCCESS;
}

template <class Body> CUresult with_function(CUfunction handle, const Body& body) {
  return with_context([&](Context& context) -> CUresult {
    auto* function = state().registry.find<Function>(handle);
    if (!function || function->context != &context) return CUDA_ERROR_INVALID_HANDLE;
    return body(*function);
  });
}

size_t dynamic_shared_limit(const Function& function) {
  return std::max<size_t>(function.max_dynamic_shared, kDefaultSharedMemory);
}

// Blocks of that size that a multiprocessor holds at once
int resident_blocks(int threads, size_t dynamic_shared) {
  int warps = (threads + WARP - 1) / WARP;
  int by_threads = gpu().threads / (warps * WARP);
  int by_shared = int(gpu().shared_memory / (dynamic_shared + kReservedSharedMemory));
  return std::min({by_threads, by_shared, gpu().blocks});
}

CUresult occupancy(int* blocks, const Function& function, int threads, size_t dynamic_shared) {
  if (!blocks || threads <= 0) return CUDA_ERROR_INVALID_VALUE;
  bool fits = threads <= int(kMaxThreads) && dynamic_shared <= dynamic_shared_limit(function);
  *blocks = fits ? resident_blocks(threads, dynamic_shared) : 0;
  return CUDA_SUCCESS;
}

} // namespace
} // namespace emu::driver

using namespace emu;
using namespace emu::driver;

CUDA_API CUresult cuModuleLoadData(CUmodule* out, const void* image) {
  return with_context([&](Context& context) { return load(context, image, 0, out); });
}

// Of the options only the error log has a meaning here.
CUDA_API CUresult cuModuleLoadDataEx(CUmodule* out, const void* image, unsigned count, int* options, void** values) {
  if (count && (!options || !values)) return CUDA_ERROR_INVALID_VALUE;
  ErrorLog log;
  for (unsigned i = 0; i < count; i++) {
    if (options[i] == ERROR_LOG) log.text = static_cast<char*>(values[i]);
    if (options[i] == ERROR_LOG_BYTES) log.bytes = reinterpret_cast<size_t>(values[i]) & 0xffffffff, log.used = &values[i];
  }
  return with_context([&](Context& context) { return load(context, image, 0, out, log); });
}

CUDA_API CUresult cuModuleLoadFatBinary(CUmodule* out, const void* image) { return cuModuleLoadData(out, image); }

CUDA_API CUresult cuModuleLoad(CUmodule* out, const char* path) {
  return with_context([&](Context& context) -> CUresult {
    if (!path) return CUDA_ERROR_INVALID_VALUE;
    std::ifstream file(path, std::ios::binary);
    std::vector<char> image((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
    if (!file || image.empty()) return CUDA_ERROR_FILE_NOT_FOUND;
    image.resize(std::max<size_t>(image.size(), 64)); // is_cubin looks at the first bytes
    return load(context, image.data(), image.size(), out);
  });
}

CUDA_API CUresult cuModuleUnload(CUmodule handle) {
  return with_context([&](Context& context) -> CUresult {
    auto* module = state().registry.find<driver::Module>(handle);
    if (!module || module->context != &context) return CUDA_ERROR_INVALID_HANDLE;
    if (CUresult error = refuse_during_capture()) return error;
    for (const auto& [name, function] : module->functions) {
      state().registry.destroy(state().registry.find<Function>(function));
    }
    state().registry.destroy(module);
    return CUDA_SUCCESS;
  });
}

CUDA_API CUresult cuModuleGetFunction(CUfunction* out, CUmodule handle, const char* name) {
  return with_context([&](Context& context) -> CUresult {
    if (!out || !name || !*name) return CUDA_ERROR_INVALID_VALUE;
    auto* module = state().registry.find<driver::Module>(handle);
    if (!module || module->context != &context) return CUDA_ERROR_INVALID_HANDLE;
    auto known = module->functions.find(name);
    if (known == module->functions.end()) {
      const emu::Kernel* kernel = emu::module_find(module->image, name);
      if (!kernel) return CUDA_ERROR_NOT_FOUND;
      auto function = std::make_unique<Function>();
      function->module = module;
      function->kernel = kernel;
      uintptr_t added = state().registry.add(std::move(function), &context)->handle;
      known = module->functions.emplace(name, added).first;
    }
    *out = reinterpret_cast<CUfunction>(known->second);
    return CUDA_SUCCESS;
  });
}

// Host modules name their kernels only; PTX modules their variables too.
CUDA_API CUresult cuModuleGetGlobal_v2(CUdeviceptr* out, size_t* bytes, CUmodule handle, const char* name) {
  return with_context([&](Context&) -> CUresult {
    if (!name) return CUDA_ERROR_INVALID_VALUE;
    auto* module = state().registry.find<driver::Module>(handle);
    if (!module) return CUDA_ERROR_INVALID_HANDLE;
    void* start;
    if (!emu::module_global(module->image, name, &start, bytes)) return CUDA_ERROR_NOT_FOUND;
    if (out) *out = reinterpret_cast<CUdeviceptr>(start);
    return CUDA_SUCCESS;
  });
}

CUDA_API CUresult cuModuleGetLoadingMode(int* mode) {
  return with_driver([&]() -> CUresult {
    if (!mode) return CUDA_ERROR_INVALID_VALUE;
    *mode = 1; // eager
    return CUDA_SUCCESS;
  });
}

CUDA_API CUresult cuFuncGetModule(CUmodule* out, CUfunction handle) {
  return with_function(handle, [&](Function& function) -> CUresult {
    if (!out) return CUDA_ERROR_INVALID_VALUE;
    *out = handle_of<CUmodule>(function.module);
    return CUDA_SUCCESS;
  });
}

CUDA_API CUresult cuFuncGetAttribute(int* value, int attribute, CUfunction handle) {
  return with_function(handle, [&](Function& function) -> CUresult {
    if (!value) return CUDA_ERROR_INVALID_VALUE;
    switch (attribute) {
    case MAX_THREADS: *value = int(function.kernel->max_threads ? function.kernel->max_threads : kMaxThreads); break;
    case STATIC_SHARED: // not known before it runs
    case CONSTANT_BYTES:
    case LOCAL_BYTES:
    case CACHE_MODE: *value = 0; break;
    case REGISTERS: *value = WARP; break; // a plausible figure, as nothing is allocated in registers
    case PTX_VERSION:
    case BINARY_VERSION: *value = 80; break;
    case MAX_DYNAMIC_SHARED: *value = function.max_dynamic_shared; break;
    case CARVEOUT: *value = function.carveout; break;
    default: return CUDA_ERROR_INVALID_VALUE;
    }
    return CUDA_SUCCESS;
  });
}

CUDA_API CUresult cuFuncSetAttribute(CUfunction handle, int attribute, int value) {
  return with_function(handle, [&](Function& function) -> CUresult {
    if (attribute == MAX_DYNAMIC_SHARED && value >= 0 && value <= int(gpu().max_shared_memory())) {
      function.max_dynamic_shared = value;
      return CUDA_SUCCESS;
    }
    if (attribute == CARVEOUT && value >= -1 && value <= 100) {
      function.carveout = value;
      return CUDA_SUCCESS;
    }
    return CUDA_ERROR_INVALID_VALUE;
  });
}

// Past the last parameter CUDA answers "invalid value".
CUDA_API CUresult cuFuncGetParamInfo(CUfunction handle, size_t index, size_t* offset, size_t* size) {
  return with_function(handle, [&](Function& function) -> CUresult {
    const emu::Kernel& kernel = *function.kernel;
    if (!offset || index >= size_t(kernel.parameters)) return CUDA_ERROR_INVALID_VALUE;
    size_t end = 0;
    for (size_t i = 0; i <= index; i++) {
      size_t bytes = kernel.parameter_size[i], alignment = bytes % 8 ? bytes % 4 ? bytes % 2 ? 1 : 2 : 4 : 8;
      *offset = (end + alignment - 1) / alignment * alignment;
      end = *offset + bytes;
    }
    if (size) *size = kernel.parameter_size[index];
    return CUDA_SUCCESS;
  });
}

// Beside CUDA's own functions, which tell no more than sizes: what kind of thing a parameter is (Kernel::parameter_kind).
CUDA_API CUresult dvlFuncGetParamKind(CUfunction handle, size_t index, char* kind) {
  return with_function(handle, [&](Function& function) -> CUresult {
    if (!kind || index >= size_t(function.kernel->parameters)) return CUDA_ERROR_INVALID_VALUE;
    *kind = function.kernel->parameter_kind[index];
    return CUDA_SUCCESS;
  });
}

// Hints about caches have no meaning here.
CUDA_API CUresult cuFuncSetCacheConfig(CUfunction handle, int) {
  return with_function(handle, [](Function&) { return CUDA_SUCCESS; });
}
CUDA_API CUresult cuFuncSetSharedMemConfig(CUfunction handle, int) { return cuFuncSetCacheConfig(handle, 0); }

// ---- occupancy
CUDA_API CUresult cuOccupancyMaxActiveBlocksPerMultiprocessor(int* blocks, CUfunction handle, int threads,
                                                              size_t dynamic_shared) {
  return with_function(handle, [&](Function& f) { return occupancy(blocks, f, threads, dynamic_shared); });
}

CUDA_API CUresult cuOccupancyMaxActiveBlocksPerMultiprocessorWithFlags(int* blocks, CUfunction handle, int threads,
                                                                       size_t dynamic_shared, unsigned) {
  return cuOccupancyMaxActiveBlocksPerMultiprocessor(blocks, handle, threads, dynamic_shared);
}

CUDA_API CUresult cuOccupancyMaxPotentialBlockSize(int* grid, int* block, CUfunction handle,
                                                   CUoccupancyB2DSize shared_of_block, size_t dynamic_shared,
                                                   int limit) {
  return with_function(handle, [&](Function& function) -> CUresult {
    if (!grid || !block || limit < 0) return CUDA_ERROR_INVALID_VALUE;
    int most = limit ? std::min<int>(limit, kMaxThreads) : int(kMaxThreads), best_threads = 0, best_blocks = 0;
    for (int threads = most; threads > 0; threads = (threads - 1) / WARP * WARP) {
      int blocks;
      size_t shared = shared_of_block ? shared_of_block(threads) : dynamic_shared;
      if (CUresult error = occupancy(&blocks, function, threads, shared)) return error;
      if (blocks * threads > best_blocks * best_threads) best_threads = threads, best_blocks = blocks;
    }
    *block = best_threads;
    *grid = best_blocks * multiprocessors();
    return best_threads ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
  });
}

CUDA_API CUresult cuOccupancyMaxPotentialBlockSizeWithFlags(int* grid, int* block, CUfunction handle,
                                                            CUoccupancyB2DSize shared_of_block, size_t dynamic_shared,
                                                            int limit, unsigned) {
  return cuOccupancyMaxPotentialBlockSize(grid, block, handle, shared_of_block, dynamic_shared, limit);
}

CUDA_API CUresult cuOccupancyAvailableDynamicSMemPerBlock(size_t* bytes, CUfunction handle, int blocks, int threads) {
  return with_function(handle, [&](Function& function) -> CUresult {
    if (!bytes || blocks <= 0 || threads <= 0) return CUDA_ERROR_INVALID_VALUE;
    size_t share = gpu().shared_memory / size_t(blocks);
    bool fits = blocks <= resident_blocks(threads, 0) && share >= kReservedSharedMemory;
    *bytes = fits ? std::min(share - kReservedSharedMemory, dynamic_shared_limit(function)) : 0;
    return CUDA_SUCCESS;
  });
}
