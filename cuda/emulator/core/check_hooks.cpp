// SPDX-License-Identifier: Apache-2.0
// The entry points that g++ -fsanitize=thread calls before every access of an instrumented kernel. No sanitizer runtime is
// involved: these functions are ours, so the check build loads into any process, a JVM included.
#include "check_state.h"
#include "report.h"

namespace emu::check {
namespace {

inline bool inside(const char* p, const void* start, size_t size) {
  return static_cast<size_t>(p - static_cast<const char*>(start)) < size;
}

// A thread's own stack, and the device's state behind threadIdx, blockIdx and the parameters.
inline bool is_private(const Worker& w, const char* p) {
  const char* stack = w.stacks + running()->stack * (kStackBytes + kStackGuard) + kStackGuard;
  return inside(p, stack, kStackBytes) || inside(p, &w, sizeof w) || inside(p, &view, sizeof view) ||
         inside(p, &self, sizeof self) || inside(p, w.job, sizeof *w.job);
}

SharedAccess shared_kind(Access kind) {
  return kind == Access::kRead    ? SharedAccess::kRead
         : kind == Access::kWrite ? SharedAccess::kWrite
                                  : SharedAccess::kAtomic;
}

inline void inspect(const void* address, size_t n, Access kind, Place place) {
  Worker& w = *worker;
  const char* p = static_cast<const char*>(address);
  if (is_private(w, p)) return;
  w.stats.accesses++;
  if (is_shared(w, p)) shared_access(w, p, n, shared_kind(kind), place);
  else global_access(w, p, n, kind, place);
}

// An access of the kernel's own code.
inline void access(const void* p, size_t n, Access kind, const void* pc, bool may_be_misaligned) {
  if (!self) return;  // a module's constructors
  if (!may_be_misaligned && (reinterpret_cast<uintptr_t>(p) & (n - 1)))
    finding_at(pc, "misaligned access of %zu bytes at %p", n, p);
  inspect(p, n, kind, {pc, Site()});
  const int preempt = options().preempt;
  if (preempt && next_random(*worker) % static_cast<uint32_t>(preempt) == 0) preempt_thread();
}

}  // namespace

void touch(const void* p, size_t n, Access kind, Site site) { inspect(p, n, kind, {nullptr, site}); }
void touch_at(const void* p, size_t n, Access kind, const void* pc) {
  if (reinterpret_cast<uintptr_t>(p) & (n - 1)) finding_at(pc, "misaligned atomic of %zu bytes at %p", n, p);
  inspect(p, n, kind, {pc, Site()});
}

}  // namespace emu::check

using emu::Access;
using emu::check::access;

#define EMU_CALLER __builtin_return_address(0)
#define EMU_HOOKS(n)                                                                                              \
  EMU_API void __tsan_read##n(void* p) { access(p, n, Access::kRead, EMU_CALLER, false); }                        \
  EMU_API void __tsan_write##n(void* p) { access(p, n, Access::kWrite, EMU_CALLER, false); }                      \
  EMU_API void __tsan_volatile_read##n(void* p) { access(p, n, Access::kRead, EMU_CALLER, false); }               \
  EMU_API void __tsan_volatile_write##n(void* p) { access(p, n, Access::kWrite, EMU_CALLER, false); }             \
  EMU_API void __tsan_unaligned_read##n(void* p) { access(p, n, Access::kRead, EMU_CALLER, true); }               \
  EMU_API void __tsan_unaligned_write##n(void* p) { access(p, n, Access::kWrite, EMU_CALLER, true); }             \
  EMU_API void __tsan_unaligned_volatile_read##n(void* p) { access(p, n, Access::kRead, EMU_CALLER, true); }      \
  EMU_API void __tsan_unaligned_volatile_write##n(void* p) { access(p, n, Access::kWrite, EMU_CALLER, true); }

extern "C" {
EMU_API void __tsan_init() {}
EMU_API void __tsan_func_entry(void*) {}
EMU_API void __tsan_func_exit() {}
EMU_API void __tsan_vptr_update(void*, void*) {}
EMU_HOOKS(1)
EMU_HOOKS(2)
EMU_HOOKS(4)
EMU_HOOKS(8)
EMU_HOOKS(16)
EMU_API void __tsan_read_range(void* p, size_t n) { access(p, n, Access::kRead, EMU_CALLER, true); }
EMU_API void __tsan_write_range(void* p, size_t n) { access(p, n, Access::kWrite, EMU_CALLER, true); }
EMU_API void __tsan_atomic_thread_fence(int) { __atomic_thread_fence(__ATOMIC_SEQ_CST); }
EMU_API void __tsan_atomic_signal_fence(int) {}
}
