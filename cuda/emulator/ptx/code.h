// SPDX-License-Identifier: Apache-2.0
// A function as the machine runs it: instructions with everything looked up beforehand.
//
// The 32 lanes of a warp run together. A register is an array of 32 values of its own width, a predicate register a mask of 32 bits.
// Constants and special registers are laid out the same way, so an instruction reads any operand as an array.
#pragma once
#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "device_code.h"
#include "program.h"

namespace emu::ptx {

struct Context;
struct Function;
struct Ins;
struct Meeting;

// Executes an instruction for the lanes of the mask (never none).
using Run = void (*)(Context&, const Ins&, uint32_t lanes);
// Executes an instruction at which lanes of a warp meet.
using Meet = void (*)(Meeting&);

// Where an operand's 32 values are
enum Base : uint8_t { kRegisters, kConstants, kSpecial, kLaunch, kBases };
constexpr uint32_t kNoRegister = ~0u;

// What is reserved of the shared memory of every block, bytes; zeroes at its start
constexpr size_t kReservedShared = 288;

struct Operand {
  uint32_t offset = 0;           // bytes from the base
  uint32_t number = kNoRegister;  // of the register
  Base base = kRegisters;
  uint8_t bits = 32;             // width of one value; 1 = a predicate
  bool negated = false;          // of a predicate
};

enum class Flow : uint8_t { kNext, kBranch, kTable, kCall, kReturn, kExit, kBarrier, kMeet, kMbarrier };

// How a barrier combines the predicates
enum class BarrierVote : uint8_t { kNone, kAnd, kOr, kCount };

struct Ins {
  Run run = nullptr;
  Meet meet = nullptr;
  const Operand* o = nullptr;  // results first
  uint8_t results = 0, operands = 0;
  Flow flow = Flow::kNext;
  bool guarded = false, guard_negated = false;
  bool passes_undefined = false;  // its results are undefined where its sources are
  bool passes_some = false;       // they are where all of its sources are: nvcc packs halves that were never written and cuts them off
  bool checks_sources = false;    // but for the first one, it looks itself whether they are defined
  bool aligned = false;           // all lanes of the warp at the same instruction
  uint8_t mask = 0;               // kMeet: which operand is the mask of lanes; 0 = all lanes
  uint8_t detail[6] = {};         // as the operation likes
  uint32_t guard = 0;             // offset of the predicate
  uint32_t guard_number = 0;
  int64_t immediate = 0;          // distance of an address, or as the operation likes
  uint32_t target = 0;            // branch: index of the instruction; call: index into Function::calls
  const Statement* text = nullptr;
};

// A range of a frame's local memory
struct Slot {
  uint32_t offset, bytes;
};

struct Call {
  const Function* callee = nullptr;  // nullptr: the address is the first operand
  Run builtin = nullptr;             // a function of the device's own library (vprintf)
  std::vector<Slot> results, parameters;
};

struct Image;

struct Function {
  const Image* image = nullptr;
  const FunctionText* text = nullptr;
  std::vector<Ins> code;
  std::deque<std::vector<Operand>> operand_lists;
  std::vector<char> constants;  // start is aligned in constant_base()
  size_t register_bytes = 0;    // without predicates' masks of definedness
  uint32_t registers = 0;
  uint32_t local_bytes = 0;     // of every lane
  struct Address {
    uint32_t offset;  // of the 64-bit register
    uint32_t number;
    uint32_t local;   // which place in the frame it points to
  };
  std::vector<Address> addresses;  // registers that hold addresses of the frame's own variables
  std::vector<Slot> results, parameters;
  std::vector<Call> calls;
  std::vector<std::vector<uint32_t>> tables;  // of brx.idx
  std::vector<uint32_t> shared;               // which of the image's shared variables it uses, itself or by calls (kernels only)

  const char* constant_base() const {
    return reinterpret_cast<const char*>((reinterpret_cast<uintptr_t>(constants.data()) + 63) & ~uintptr_t{63});
  }
};

// A variable of the module, placed in device memory.
struct Global {
  const Variable* variable;
  char* address;
};

// What kernels of a module get by malloc(); as much as CUDA has where nobody asks for more.
class Heap {
 public:
  Heap() = default;
  ~Heap();
  Heap(const Heap&) = delete;
  Heap& operator=(const Heap&) = delete;

  char* take(size_t bytes);      // nullptr if there is no room, or for 0 bytes
  bool give_back(char* start);   // false if it is not one of its own

 private:
  static constexpr size_t kBytes = 8 << 20;
  std::mutex mutex_;
  std::map<char*, size_t> blocks_;
  size_t used_ = 0;
};

// A loaded module
struct Image {
  Program program;
  std::vector<std::unique_ptr<Function>> functions;  // in the order of program.functions; nullptr: only declared
  std::vector<Global> globals;                       // .global and .const, in the order of program.variables
  std::vector<const Variable*> shared;               // .shared of the module and of its functions
  mutable Heap heap;

  ~Image();
  const Function* function(std::string_view name) const;
  const Global* global(std::string_view name) const;
};

// Makes an image of PTX text. Throws Refused.
std::unique_ptr<Image> load(std::string_view text);

// Where an instruction is, for reports: the CUDA source's line if the text names it, else the line of the PTX.
Site site_of(const Context& c, const Ins& i);

}  // namespace emu::ptx
