// SPDX-License-Identifier: Apache-2.0
// The emulated device as its host-side users see it: device memory, modules, launches, reports.
// The driver facade, the cuBLAS facade and the selftest include this file; kernels include dvl.cuh and never this.
//
// All functions may be called from any thread. Launches are serialised and return when the grid is done.
#pragma once
#include <cstddef>
#include <cstdint>
#include <string>

#define EMU_API __attribute__((visibility("default")))

namespace emu {

// ---- results: the CUresult numbers of the driver API that the core itself can return
enum Result : int {
  kSuccess = 0,
  kInvalidValue = 1,
  kIllegalAddress = 700,
  kNoBinaryForGpu = 209,
  kInvalidImage = 200,
  kInvalidPtx = 218,
  kOutOfResources = 701,
  kLaunchFailed = 719,
};

// ---- device memory
// Every allocation ends at a page that faults when touched (sizes are padded to a multiple of 256 for placement; a write
// into the padding is reported when the allocation is freed, and at once by the check build), starts 256-byte aligned and
// is filled with 0xFF (NaN in bf16 and f32) up to 256 MiB; larger ones stay zero and lazily committed.

EMU_API void* device_alloc(size_t bytes);                     // nullptr for 0 bytes or when device_total() would be exceeded
EMU_API bool device_free(void* start);                        // false unless `start` is the start of a live allocation
EMU_API bool device_range(const void* p, size_t n);           // true if [p, p + n) lies inside one live allocation
EMU_API bool device_find(const void* p, void** start, size_t* bytes);  // the live allocation that holds p
EMU_API void device_written(void* p, size_t n);               // the host (memcpy, memset, cuBLAS) has written [p, p + n)
EMU_API size_t device_used();                                 // bytes in live allocations
EMU_API size_t device_allocations();                          // number of live allocations
EMU_API size_t device_total();                                // 4 GiB, or DVL_EMULATED_MEMORY (bytes; K, M, G suffixes)

// Pinned or registered host memory that kernels may use. Only the check build looks at it.
EMU_API void host_memory_added(void* start, size_t bytes);
EMU_API void host_memory_removed(void* start);

// Adds a finding for the device memory that is still allocated, if any; returns its bytes. The check build also prints one
// when the process ends.
EMU_API size_t report_leaks();

// ---- kernels and modules
struct Kernel;
using Thunk = void (*)(const Kernel& kernel, void** args);  // runs one CUDA thread: args[i] points at the i-th parameter

// A kernel of a module. In a host module DVL_EXPORT makes one static object per kernel; its constructor runs inside module_load().
struct Kernel {
  const char* name;
  const char* file;  // as the compiler was given it
  Thunk thunk;
  int parameters;
  const uint32_t* parameter_size;
  const char* parameter_kind;  // 'p' pointer, 'f' floating-point number, 'i' integer, '?' not known or something else
  const Kernel* next;
  bool whole_block = false;   // the thunk runs all threads of a block, not one
  unsigned max_threads = 0;   // per block; 0 = what the device allows

  EMU_API Kernel(const char* name, const char* file, Thunk thunk, int parameters, const uint32_t* parameter_size,
                 const char* parameter_kind);
};

struct Module;

// Loads a module: a host module (the bytes of an x86-64 shared object linked against this library), PTX text, or a fat binary with PTX in
// it. size 0 = read it from the image: its header, or the zero at the end of the text. On failure returns nullptr and says why. The image
// is copied.
EMU_API Module* module_load(const void* image, size_t size, std::string& error, Result* result = nullptr);
EMU_API bool module_global(const Module* module, const char* name, void** start, size_t* bytes);  // a variable; false if there is none
EMU_API const Kernel* module_find(const Module* module, const char* name);  // nullptr if there is none of that name
EMU_API const Kernel* module_kernels(const Module* module);                 // first of the list linked by `next`
EMU_API void module_unload(Module* module);

// ---- launch
struct LaunchConfig {
  unsigned grid[3] = {1, 1, 1};
  unsigned block[3] = {1, 1, 1};
  size_t dynamic_smem = 0;             // bytes
  size_t max_dynamic_smem = 48 << 10;  // raised by cuFuncSetAttribute(MAX_DYNAMIC_SHARED_SIZE_BYTES)
};

constexpr unsigned kMaxThreads = 1024;              // per block
constexpr size_t kDefaultSharedMemory = 48 << 10;   // per block, without opt-in
constexpr size_t kReservedSharedMemory = 1 << 10;   // per block, beside what it uses

// The kind of GPU that the device passes for (option gpu), by what CUDA allows there. A block can opt in to the shared memory of a
// multiprocessor but for what is reserved.
struct Gpu {
  int major, minor;  // compute capability
  size_t shared_memory;  // bytes, per multiprocessor
  int threads, blocks;   // per multiprocessor

  constexpr size_t max_shared_memory() const { return shared_memory - kReservedSharedMemory; }  // per block
};
EMU_API const Gpu& gpu();

// Runs the grid. kInvalidValue: empty or oversized grid, block or shared memory. kIllegalAddress: a kernel touched memory
// it must not. kLaunchFailed: any other finding (see take_reports). The arguments are copied first; the device stays usable.
EMU_API int launch(const Kernel& kernel, void** args, const LaunchConfig& config);

// ---- reports
// What the detectors found since the last call, one finding per line ("" if nothing). Each is also printed on stderr as it
// appears, prefixed "emulated device: ".
EMU_API std::string take_reports();

// The kernels launched since the last call, sorted, one "file kernel" per line; the file as the compiler was given it.
EMU_API std::string take_launched();

// ---- journal: everything that ran on the device since the last call, in order, one line each; kept only between
// keep_journal(true) and keep_journal(false). A kernel: name, grid, block, bytes of dynamic shared memory. A library call: what
// the library says of it.
EMU_API void keep_journal(bool on);
EMU_API bool journal_kept();
EMU_API void add_to_journal(const std::string& line);
EMU_API std::string take_journal();

// ---- creations: device memory, pinned memory, streams, events, graphs, and what the libraries make, by kind. A test has the n-th fail and
// then looks at what is left.
EMU_API bool create(const char* kind);     // counts one more of the kind; false: this is the one that has to fail
EMU_API void destroyed(const char* kind);
EMU_API void fail_creation(uint64_t n);    // the n-th from now on fails; 0: none. Counts from here
EMU_API uint64_t creations();              // since then
EMU_API std::string created_objects();     // what is there, one "kind count" per line

// Adds a finding that is not tied to a kernel (for example a leak found by the driver facade).
EMU_API void add_report(const std::string& text);

// ---- options: comma-separated key=value, from DVL_EMULATOR at first use, then by set_options
//   sched=fwd|rev|rand  order of blocks, warps, lanes cp=defer|eager|rand  when a cp.async takes place
//   seed=N              of the random choices         workers=N            native threads (default: the CPUs, at most 8)
//   strict=0|1|2        legal but suspect patterns    preempt=N            check build: switch about every N-th access
//   gridrace=0|1        check build: races between blocks
//   reports=N           findings kept in full         stderr=0|1           print findings as they appear
//   mma=0|1|2|3         PTX: order of an mma's sums   approx=N             PTX: approximate operations are off by up to their
//                       (0 as the host modules do)                         documented error, each seed N another way (0: not)
//   gpu=8.0|8.6|8.9|9.0|10.0|11.0|12.0                compute capability, and the limits that go with it (default 9.0)
//   sticky=0|1          driver facade: after a failed kernel every call fails until the context is gone (default 1)
EMU_API void set_options(const char* options);

// ---- statistics since the process started or they were last reset
struct Statistics {
  uint64_t launches, blocks, threads, switches, collectives, mma, ldmatrix, ldmatrix_conflicts, barriers, copies, accesses;
};
EMU_API Statistics statistics(bool reset);

EMU_API bool is_check_build();  // true for the library that inspects every access of its kernels

}  // namespace emu
