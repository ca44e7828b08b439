// SPDX-License-Identifier: Apache-2.0
// Hooks of the check build. In the fast build they are empty and cost nothing.
#pragma once
#include <cstddef>
#include <cstdint>

#include "device_code.h"

namespace emu {

struct Worker;

enum class Access : uint8_t { kRead, kWrite, kAtomic };

namespace check {

#ifdef EMU_CHECK
void prepare(Worker& w);
void launch_start();
void block_start(Worker& w);
void block_end(Worker& w);
// The lanes lanes[w] of every warp w have met: what each did before happens before what any of them does next.
void synchronise(Worker& w, const uint32_t* lanes);
// The device itself (ldmatrix, atomics, the source of a cp.async) accesses memory for the running thread.
void touch(const void* p, size_t n, Access kind, Site site);
void touch_at(const void* p, size_t n, Access kind, const void* pc);
void copy_issued(void* shared, size_t n, Site site);
void copy_done(void* shared, size_t n);
// By index in Worker::mbarriers: it begins; the running thread uses it, and arrives; a phase ends; the running thread has seen that.
void mbarrier_initialised(unsigned barrier);
void mbarrier_used(unsigned barrier, Site site);
void mbarrier_arrived(unsigned barrier);
void mbarrier_completed(unsigned barrier);
void mbarrier_acquired(unsigned barrier);
// Bytes that are there for those alone who see the end of the mbarrier's phase.
void bulk_copy_done(void* shared, size_t n, unsigned barrier);
// The running thread has arrived at a counter of the grid (dvl::last_block) and knows what was done before earlier arrivals.
void arrived(const void* counter);
// Device memory
void allocated(char* start, size_t bytes);
void freed(char* start);
void written(char* p, size_t n);
#else
inline void prepare(Worker&) {}
inline void launch_start() {}
inline void block_start(Worker&) {}
inline void block_end(Worker&) {}
inline void synchronise(Worker&, const uint32_t*) {}
inline void touch(const void*, size_t, Access, Site) {}
inline void touch_at(const void*, size_t, Access, const void*) {}
inline void copy_issued(void*, size_t, Site) {}
inline void copy_done(void*, size_t) {}
inline void mbarrier_initialised(unsigned) {}
inline void mbarrier_used(unsigned, Site) {}
inline void mbarrier_arrived(unsigned) {}
inline void mbarrier_completed(unsigned) {}
inline void mbarrier_acquired(unsigned) {}
inline void bulk_copy_done(void*, size_t, unsigned) {}
inline void arrived(const void*) {}
inline void allocated(char*, size_t) {}
inline void freed(char*) {}
inline void written(char*, size_t) {}
#endif

}  // namespace check
}  // namespace emu
