// SPDX-License-Identifier: Apache-2.0
// Contexts: the primary one, others, and the stack of current contexts that each thread has.
#include "capture.h"

namespace emu::driver {
namespace {

thread_local std::vector<Context*> stack; // contexts are never deallocated, so these stay good

constexpr unsigned CONTEXT_FLAGS = 0x1ff;
constexpr int LIMITS = 7;

Context* top() { return stack.empty() ? nullptr : stack.back(); }

// Calls that work on a spoilt context too
template <class Body> CUresult with_current(const Body& body) {
  return with_driver([&]() -> CUresult {
    Context* context;
    if (CUresult error = current_context(context)) return error;
    return body(*context);
  });
}

template <class T> CUresult answer(T* out, T Context::*field) {
  return with_current([&](Context& context) -> CUresult {
    if (!out) return CUDA_ERROR_INVALID_VALUE;
    *out = context.*field;
    return CUDA_SUCCESS;
  });
}

template <class Body> CUresult with_primary(CUdevice device, const Body& body) {
  return with_driver([&]() -> CUresult {
    if (device != 0) return CUDA_ERROR_INVALID_DEVICE;
    if (!state().primary) {
      state().primary = &new_context();
      state().primary->primary = true;
      state().primary->alive = false;
    }
    return body(*state().primary);
  });
}

} // namespace

CUresult current_context(Context*& out) {
  out = top();
  if (!out) return CUDA_ERROR_INVALID_CONTEXT;
  return out->alive ? CUDA_SUCCESS : CUDA_ERROR_CONTEXT_IS_DESTROYED;
}

} // namespace emu::driver

using namespace emu::driver;

CUDA_API CUresult cuDevicePrimaryCtxRetain(CUcontext* out, CUdevice device) {
  return with_primary(device, [&](Context& primary) -> CUresult {
    if (!out) return CUDA_ERROR_INVALID_VALUE;
    if (!primary.alive) begin_context(primary, state().primary_flags);
    state().primary_references++;
    *out = handle_of<CUcontext>(&primary);
    return CUDA_SUCCESS;
  });
}

CUDA_API CUresult cuDevicePrimaryCtxRelease_v2(CUdevice device) {
  return with_primary(device, [](Context& primary) -> CUresult {
    if (state().primary_references == 0) return CUDA_ERROR_INVALID_CONTEXT;
    if (--state().primary_references == 0 && primary.alive) end_context(primary);
    return CUDA_SUCCESS;
  });
}

CUDA_API CUresult cuDevicePrimaryCtxReset_v2(CUdevice device) {
  return with_primary(device, [](Context& primary) {
    // Who retained it still has to release it; the next retain begins it anew under the same handle.
    if (primary.alive) end_context(primary);
    return CUDA_SUCCESS;
  });
}

CUDA_API CUresult cuDevicePrimaryCtxGetState(CUdevice device, unsigned* flags, int* active) {
  return with_primary(device, [&](Context& primary) -> CUresult {
    if (!flags || !active) return CUDA_ERROR_INVALID_VALUE;
    *flags = state().primary_flags;
    *active = primary.alive;
    return CUDA_SUCCESS;
  });
}

CUDA_API CUresult cuDevicePrimaryCtxSetFlags_v2(CUdevice device, unsigned flags) {
  return with_primary(device, [&](Context& primary) -> CUresult {
    if (flags > CONTEXT_FLAGS) return CUDA_ERROR_INVALID_VALUE;
    state().primary_flags = flags;
    if (primary.alive) primary.flags = flags;
    return CUDA_SUCCESS;
  });
}

CUDA_API CUresult cuCtxCreate_v2(CUcontext* out, unsigned flags, CUdevice device) {
  return with_driver([&]() -> CUresult {
    if (!out || flags > CONTEXT_FLAGS) return CUDA_ERROR_INVALID_VALUE;
    if (device != 0) return CUDA_ERROR_INVALID_DEVICE;
    Context& context = new_context();
    begin_context(context, flags);
    stack.push_back(&context);
    *out = handle_of<CUcontext>(&context);
    return CUDA_SUCCESS;
  });
}

CUDA_API CUresult cuCtxDestroy_v2(CUcontext handle) {
  return with_driver([&]() -> CUresult {
    Context* context = find_context(handle);
    if (!handle) return CUDA_ERROR_INVALID_VALUE;
    if (!context || context->primary) return CUDA_ERROR_INVALID_CONTEXT;
    if (!context->alive) return CUDA_ERROR_CONTEXT_IS_DESTROYED;
    end_context(*context);
    if (top() == context) stack.pop_back();
    return CUDA_SUCCESS;
  });
}

CUDA_API CUresult cuCtxGetCurrent(CUcontext* out) {
  return with_driver([&]() -> CUresult {
    if (!out) return CUDA_ERROR_INVALID_VALUE;
    *out = top() ? handle_of<CUcontext>(top()) : nullptr;
    return CUDA_SUCCESS;
  });
}

CUDA_API CUresult cuCtxSetCurrent(CUcontext handle) {
  return with_driver([&]() -> CUresult {
    Context* context = find_context(handle);
    if (handle && !context) return CUDA_ERROR_INVALID_CONTEXT;
    if (context && !context->alive) return CUDA_ERROR_CONTEXT_IS_DESTROYED;
    if (!stack.empty()) stack.pop_back();
    if (context) stack.push_back(context);
    return CUDA_SUCCESS;
  });
}

CUDA_API CUresult cuCtxPushCurrent_v2(CUcontext handle) {
  return with_driver([&]() -> CUresult {
    Context* context = find_context(handle);
    if (!context) return CUDA_ERROR_INVALID_CONTEXT;
    if (!context->alive) return CUDA_ERROR_CONTEXT_IS_DESTROYED;
    stack.push_back(context);
    return CUDA_SUCCESS;
  });
}

CUDA_API CUresult cuCtxPopCurrent_v2(CUcontext* out) {
  return with_driver([&]() -> CUresult {
    if (stack.empty()) return CUDA_ERROR_INVALID_CONTEXT;
    if (out) *out = handle_of<CUcontext>(top());
    stack.pop_back();
    return CUDA_SUCCESS;
  });
}

CUDA_API CUresult cuCtxGetDevice(CUdevice* device) {
  return with_current([&](Context&) -> CUresult {
    if (!device) return CUDA_ERROR_INVALID_VALUE;
    *device = 0;
    return CUDA_SUCCESS;
  });
}

CUDA_API CUresult cuCtxGetFlags(unsigned* flags) { return answer(flags, &Context::flags); }
CUDA_API CUresult cuCtxGetId(CUcontext handle, unsigned long long* id) {
  return with_driver([&]() -> CUresult {
    Context* context = handle ? find_context(handle) : top();
    if (!context) return CUDA_ERROR_INVALID_CONTEXT;
    if (!context->alive) return CUDA_ERROR_CONTEXT_IS_DESTROYED;
    if (!id) return CUDA_ERROR_INVALID_VALUE;
    *id = context->id;
    return CUDA_SUCCESS;
  });
}

CUDA_API CUresult cuCtxGetApiVersion(CUcontext handle, unsigned* version) {
  return with_driver([&]() -> CUresult {
    Context* context = handle ? find_context(handle) : top();
    if (!context || !context->alive) return CUDA_ERROR_INVALID_CONTEXT;
    if (!version) return CUDA_ERROR_INVALID_VALUE;
    *version = 3020;
    return CUDA_SUCCESS;
  });
}

CUDA_API CUresult cuCtxSynchronize() {
  return with_context([](Context& context) -> CUresult {
    for (const auto& capture : state().captures) {
      if (capture->context != &context) continue;
      capture->invalidated = true;
      return CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED;
    }
    return CUDA_SUCCESS;
  });
}

CUDA_API CUresult cuCtxGetLimit(size_t* value, int limit) {
  return with_context([&](Context& context) -> CUresult {
    if (!value) return CUDA_ERROR_INVALID_VALUE;
    if (limit < 0 || limit >= LIMITS) return CUDA_ERROR_UNSUPPORTED_LIMIT;
    *value = context.limits[limit];
    return CUDA_SUCCESS;
  });
}

CUDA_API CUresult cuCtxSetLimit(int limit, size_t value) {
  return with_context([&](Context& context) -> CUresult {
    if (limit < 0 || limit >= LIMITS) return CUDA_ERROR_UNSUPPORTED_LIMIT;
    context.limits[limit] = value; // kept, without effect
    return CUDA_SUCCESS;
  });
}

CUDA_API CUresult cuCtxGetStreamPriorityRange(int* least, int* greatest) {
  return with_context([&](Context&) {
    if (least) *least = 0;
    if (greatest) *greatest = -5;
    return CUDA_SUCCESS;
  });
}

// Hints about caches have no meaning here.
CUDA_API CUresult cuCtxSetCacheConfig(int) {
  return with_context([](Context&) { return CUDA_SUCCESS; });
}
CUDA_API CUresult cuCtxSetSharedMemConfig(int) { return cuCtxSetCacheConfig(0); }
CUDA_API CUresult cuCtxGetCacheConfig(int* config) {
  return with_context([&](Context&) { return config ? (*config = 0, CUDA_SUCCESS) : CUDA_ERROR_INVALID_VALUE; });
}
CUDA_API CUresult cuCtxGetSharedMemConfig(int* config) {
  return with_context([&](Context&) {
    return config ? (*config = 1, CUDA_SUCCESS) : CUDA_ERROR_INVALID_VALUE; // 1: banks of 4 bytes
  });
}
