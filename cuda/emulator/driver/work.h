// SPDX-License-Identifier: Apache-2.0
// Work that a stream executes: at once, or later and again as a node of a graph.
#pragma once

#include <functional>
#include <variant>
#include <vector>

#include "state.h"

namespace emu::driver {

// Arguments of a launch, copied: the caller's are valid during its call only. Copies share the (constant) values.
class Arguments {
public:
  Arguments() = default;
  Arguments(const emu::Kernel& kernel, void** values);
  void** values() const { return block_ ? block_->values.data() : nullptr; }

private:
  struct Block {
    std::vector<unsigned char> bytes;
    std::vector<void*> values; // point into bytes
  };
  std::shared_ptr<Block> block_;
};

struct KernelWork {
  CUfunction function;
  emu::LaunchConfig config;
  Arguments arguments;
};

// A box of width bytes x height rows x depth slices, strided on both sides; a plain copy is a box of height 1.
struct CopyWork {
  enum Side { HOST, DEVICE, ANY };
  Side to_side, from_side;
  char* to;
  const char* from;
  size_t width, height = 1, depth = 1;
  size_t to_pitch = 0, to_slice = 0, from_pitch = 0, from_slice = 0; // bytes; not used where the extent is 1
};

// height rows of width elements of `size` bytes, `pitch` bytes apart
struct FillWork {
  char* to;
  unsigned value, size;
  size_t width, height = 1, pitch = 0;
};

struct HostWork {
  CUhostFn function;
  void* user_data;
};

struct RecordWork {
  CUevent event;
};

struct WaitWork {
  CUevent event;
};

struct EmptyWork {};

// Library calls (cuBLAS)
struct LibraryWork {
  std::function<CUresult()> body;
};

using Work = std::variant<EmptyWork, KernelWork, CopyWork, FillWork, HostWork, RecordWork, WaitWork, LibraryWork>;

CUgraphNodeType type_of(const Work& work);

// CUDA_SUCCESS if the work's handles are live and its memory lies inside live allocations, else what the call answers.
CUresult check(const Context& context, const Work& work);

// Checked work. What a kernel breaks spoils the context.
CUresult run(Context& context, const Work& work);

// A launch without a copy of its arguments; `function` belongs to the context.
CUresult run_kernel(Context& context, const Function& function, void** arguments, const emu::LaunchConfig& config);

// Whether [p, p + bytes) lies inside one live device allocation, or one range of pinned host memory.
bool in_device_memory(const void* p, size_t bytes);
bool in_pinned_memory(const void* p, size_t bytes);

} // namespace emu::driver
