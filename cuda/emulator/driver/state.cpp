// SPDX-License-Identifier: Apache-2.0
#include "state.h"

#include <cstdlib>

#include "../core/options.h"
#include "capture.h"

namespace emu::driver {

thread_local bool in_host_function = false;

// Contexts are not in the registry (they outlive their end), but their handles look alike.
static constexpr uintptr_t FIRST_CONTEXT = 0xc000'0000'0000;

State& state() {
  static State* instance = new State;
  return *instance;
}

Module::~Module() {
  if (image) emu::module_unload(image);
}

void Registry::destroy_all_of(const Context* context) {
  for (auto it = objects_.begin(); it != objects_.end();) {
    if (it->second->context != context) {
      ++it;
      continue;
    }
    auto* stream = dynamic_cast<Stream*>(it->second.get());
    if (stream && !stream->is_default) emu::destroyed(STREAM);
    if (dynamic_cast<Event*>(it->second.get())) emu::destroyed(EVENT);
    it = objects_.erase(it);
  }
}

Context* find_context(CUcontext handle) {
  for (const auto& context : state().contexts) {
    if (context->handle == reinterpret_cast<uintptr_t>(handle)) return context.get();
  }
  return nullptr;
}

static Stream* default_stream(Context& context) {
  Stream* stream = state().registry.add(std::make_unique<Stream>(), &context);
  stream->is_default = true;
  stream->id = state().next_id++;
  return stream;
}

Context& new_context() {
  State& s = state();
  s.contexts.push_back(std::make_unique<Context>());
  Context& context = *s.contexts.back();
  context.id = s.next_id++;
  context.handle = FIRST_CONTEXT + 16 * context.id;
  return context;
}

void begin_context(Context& context, unsigned flags) {
  context.alive = true;
  context.failure = CUDA_SUCCESS;
  context.flags = flags;
  context.legacy = default_stream(context);
  context.per_thread = default_stream(context);
}

void end_context(Context& context) {
  State& s = state();
  abandon_captures(context);
  context.alive = false;
  context.legacy = context.per_thread = nullptr;
  s.registry.destroy_all_of(&context);
  for (auto it = s.device_memory.begin(); it != s.device_memory.end();) {
    if (it->second.context != &context) {
      ++it;
      continue;
    }
    emu::device_free(reinterpret_cast<void*>(it->first));
    emu::destroyed(DEVICE_MEMORY);
    it = s.device_memory.erase(it);
  }
  for (auto it = s.host_memory.begin(); it != s.host_memory.end();) {
    if (it->second.context != &context) {
      ++it;
      continue;
    }
    emu::host_memory_removed(reinterpret_cast<void*>(it->first));
    if (!it->second.registered) {
      emu::destroyed(PINNED_MEMORY);
      std::free(reinterpret_cast<void*>(it->first));
    }
    it = s.host_memory.erase(it);
  }
}

CUresult find_stream(Context& context, CUstream handle, Stream*& out) {
  switch (reinterpret_cast<uintptr_t>(handle)) {
  case 0: // the default stream, also by the name CU_STREAM_LEGACY
  case 1: out = context.legacy; return CUDA_SUCCESS;
  case 2: out = context.per_thread; return CUDA_SUCCESS;
  default: out = state().registry.find<Stream>(handle); return out ? CUDA_SUCCESS : CUDA_ERROR_INVALID_HANDLE;
  }
}

CUresult fault(Context& context, CUresult code) {
  if (emu::options().sticky) context.failure = code;
  return code;
}

} // namespace emu::driver
