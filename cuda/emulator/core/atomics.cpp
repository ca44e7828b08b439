// SPDX-License-Identifier: Apache-2.0
// Atomics on shared and global memory. Blocks run on several native threads, so they are real atomics.
#include "check.h"
#include "worker.h"

namespace {

template <class T>
inline void touch(T* p, const void* pc) {
  emu::check::touch_at(p, sizeof(T), emu::Access::kAtomic, pc);
  // A thread that spins on an atomic without __nanosleep must not keep the one it waits for from running.
  if (++emu::worker->atomics % 1024 == 0) emu::yield_thread(emu::Site());
}

// *p = f(*p), returns the old value
template <class T, class F>
inline T update(T* p, F f) {
  T old, now;
  __atomic_load(p, &old, __ATOMIC_SEQ_CST);
  do now = f(old);
  while (!__atomic_compare_exchange(p, &old, &now, true, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST));
  return old;
}

}  // namespace

#define EMU_CALLER __builtin_return_address(0)
#define EMU_ATOMICS(T)                                                                            \
  T atomicAdd(T* p, T v) {                                                                        \
    touch(p, EMU_CALLER);                                                                         \
    return __atomic_fetch_add(p, v, __ATOMIC_SEQ_CST);                                            \
  }                                                                                               \
  T atomicExch(T* p, T v) {                                                                       \
    touch(p, EMU_CALLER);                                                                         \
    return __atomic_exchange_n(p, v, __ATOMIC_SEQ_CST);                                           \
  }                                                                                               \
  T atomicMax(T* p, T v) {                                                                        \
    touch(p, EMU_CALLER);                                                                         \
    return update(p, [v](T old) { return old > v ? old : v; });                                   \
  }                                                                                               \
  T atomicMin(T* p, T v) {                                                                        \
    touch(p, EMU_CALLER);                                                                         \
    return update(p, [v](T old) { return old < v ? old : v; });                                   \
  }                                                                                               \
  T atomicCAS(T* p, T expected, T desired) {                                                      \
    touch(p, EMU_CALLER);                                                                         \
    __atomic_compare_exchange_n(p, &expected, desired, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST); \
    return expected;                                                                              \
  }
EMU_ATOMICS(int)
EMU_ATOMICS(unsigned)
EMU_ATOMICS(unsigned long long)

float atomicAdd(float* p, float v) {
  touch(p, EMU_CALLER);
  return update(p, [v](float old) { return old + v; });
}
float atomicExch(float* p, float v) {
  touch(p, EMU_CALLER);
  return update(p, [v](float) { return v; });
}
unsigned atomicOr(unsigned* p, unsigned v) {
  touch(p, EMU_CALLER);
  return __atomic_fetch_or(p, v, __ATOMIC_SEQ_CST);
}
unsigned atomicAnd(unsigned* p, unsigned v) {
  touch(p, EMU_CALLER);
  return __atomic_fetch_and(p, v, __ATOMIC_SEQ_CST);
}
unsigned atomicInc(unsigned* p, unsigned limit) {
  touch(p, EMU_CALLER);
  return update(p, [limit](unsigned old) { return old >= limit ? 0 : old + 1; });
}

unsigned emu::arrive(unsigned* counter, unsigned last, Site site) {
  running()->site = site;
  const unsigned old = atomicInc(counter, last);
  check::arrived(counter);
  return old;
}
