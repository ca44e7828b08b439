// SPDX-License-Identifier: Apache-2.0
// What the driver facade knows: contexts, the objects that handles name, memory; and the guards that every entry point
// passes through. One mutex protects all of it; work runs while it is held, in the calling thread, so streams are in
// order by construction.
#pragma once

#include <chrono>
#include <map>
#include <memory>
#include <mutex>
#include <new>
#include <string>
#include <thread>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "../core/complain.h"
#include "../core/core.h"
#include "cuda_types.h"

namespace emu::driver {

struct Capture;
struct Context;
struct Node;
struct Stream;

// Base of everything that a handle names.
struct Object {
  virtual ~Object() = default;
  uintptr_t handle = 0;
  Context* context = nullptr; // nullptr: belongs to no context (contexts, graphs)
};

struct Context : Object {
  bool primary = false;
  bool alive = true;
  unsigned flags = 0;
  uint64_t id = 0;
  size_t limits[7] = {1024, 1 << 20, 8 << 20, 2, 2048, 128, 0}; // by CUlimit
  CUresult failure = CUDA_SUCCESS; // sticky: every call answers it until the context is gone
  Stream* legacy = nullptr;
  Stream* per_thread = nullptr;
};

struct Module : Object {
  emu::Module* image = nullptr;
  std::unordered_map<std::string, uintptr_t> functions; // handles given out so far
  ~Module() override;
};

struct Function : Object {
  Module* module = nullptr;
  const emu::Kernel* kernel = nullptr;
  int max_dynamic_shared = int(emu::kDefaultSharedMemory);
  int carveout = -1;
};

struct Stream : Object {
  unsigned flags = 0;
  int priority = 0;
  uint64_t id = 0;
  bool is_default = false;
  Capture* capture = nullptr;
  std::vector<Node*> tips; // captured nodes that the next one depends on
};

struct Event : Object {
  unsigned flags = 0;
  bool recorded = false;
  std::chrono::steady_clock::time_point time;
  uint64_t capture_id = 0; // the capture of its last record, 0 if that was not captured
  std::vector<Node*> tips;
};

// Maps handles to objects. A handle is a serial number in the shape of an aligned pointer: it is never reused, so a
// destroyed handle stays invalid, and a foreign pointer is never followed.
class Registry {
public:
  template <class T> T* add(std::unique_ptr<T> object, Context* context) {
    T* result = object.get();
    result->handle = FIRST + 16 * ++serial_;
    result->context = context;
    objects_.emplace(result->handle, std::move(object));
    return result;
  }

  template <class T, class Handle> T* find(Handle handle) const {
    auto found = objects_.find(reinterpret_cast<uintptr_t>(handle));
    return found == objects_.end() ? nullptr : dynamic_cast<T*>(found->second.get());
  }

  void destroy(const Object* object) {
    uintptr_t handle = object->handle; // a copy: the object goes away during erase
    objects_.erase(handle);
  }
  void destroy_all_of(const Context* context);

private:
  static constexpr uintptr_t FIRST = 0xe000'0000'0000; // outside the user's half of the address space
  uint64_t serial_ = 0;
  std::unordered_map<uintptr_t, std::unique_ptr<Object>> objects_;
};

// Kinds of creations (../core.h)
inline constexpr const char* DEVICE_MEMORY = "device memory";
inline constexpr const char* PINNED_MEMORY = "pinned memory";
inline constexpr const char* STREAM = "stream";
inline constexpr const char* EVENT = "event";
inline constexpr const char* GRAPH = "graph";
inline constexpr const char* EXECUTABLE_GRAPH = "executable graph";

template <class Handle> Handle handle_of(const Object* object) { return reinterpret_cast<Handle>(object->handle); }

struct DeviceMemory {
  Context* context;
  uint64_t id;
};

struct HostMemory {
  Context* context;
  size_t bytes;
  unsigned flags;
  bool registered; // the program's own memory (cuMemHostRegister), not ours to free
};

struct State {
  std::mutex mutex;
  bool initialized = false;
  Registry registry;
  std::vector<std::unique_ptr<Context>> contexts; // never shrinks: a dead context still answers "destroyed"
  Context* primary = nullptr;
  int primary_references = 0;
  unsigned primary_flags = 0;
  std::map<uintptr_t, DeviceMemory> device_memory; // by start
  std::map<uintptr_t, HostMemory> host_memory;     // by start
  std::vector<std::unique_ptr<Capture>> captures;
  uint64_t next_id = 1; // contexts, streams, buffers, captures
};

// Never destroyed: other threads may still call in while the process exits.
State& state();

// Set in the thread that runs a host function or stream callback, which may not call CUDA.
extern thread_local bool in_host_function;

Context* find_context(CUcontext handle); // nullptr unless it names a context, alive or not
Context& new_context();                  // with a handle of its own, not yet begun
void begin_context(Context& context, unsigned flags);
void end_context(Context& context);      // frees everything it owns
CUresult current_context(Context*& out); // of the calling thread

CUresult find_stream(Context& context, CUstream handle, Stream*& out);

// Notes a failure that spoils the context, as a kernel's illegal access does, and returns it.
CUresult fault(Context& context, CUresult code);

// Runs `body` holding the lock once the driver is initialised.
template <class Body> CUresult with_driver(const Body& body) {
  if (in_host_function) return CUDA_ERROR_NOT_PERMITTED;
  std::lock_guard<std::mutex> lock(state().mutex);
  if (!state().initialized) return CUDA_ERROR_NOT_INITIALIZED;
  try {
    return body();
  } catch (const std::bad_alloc&) {
    return CUDA_ERROR_OUT_OF_MEMORY;
  } catch (...) {
    return CUDA_ERROR_UNKNOWN;
  }
}

// The same with the calling thread's context, which must exist and be sound.
template <class Body> CUresult with_context(const Body& body) {
  return with_driver([&]() -> CUresult {
    Context* context;
    if (CUresult error = current_context(context)) return error;
    return context->failure ? context->failure : body(*context);
  });
}

// Gives the lock up for a while (host functions must not hold it).
class Unlocked {
public:
  Unlocked() { state().mutex.unlock(); }
  ~Unlocked() { state().mutex.lock(); }
};

} // namespace emu::driver
