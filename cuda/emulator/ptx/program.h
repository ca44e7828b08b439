// SPDX-License-Identifier: Apache-2.0
// A PTX module as its text says it, names of registers and local variables resolved. The reader makes it, the decoder turns
// its statements into instructions.
#pragma once
#include <cstdint>
#include <map>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

namespace emu::ptx {

// The module is not PTX that this device runs; `line` counts in the PTX text.
struct Refused : std::runtime_error {
  Refused(unsigned line, const std::string& why) : std::runtime_error("line " + std::to_string(line) + ": " + why) {}
};

enum class Kind : uint8_t { kNone, kBits, kUnsigned, kSigned, kFloat, kBfloat, kPredicate };

// .u32 is {kUnsigned, 32, 1}; .f16x2 is {kFloat, 16, 2}
struct Type {
  Kind kind = Kind::kNone;
  uint8_t bits = 0;
  uint8_t packed = 1;

  size_t bytes() const { return bits * packed / 8; }
  bool is(Kind k, int b) const { return kind == k && bits == b && packed == 1; }
  bool integer() const { return kind == Kind::kBits || kind == Kind::kUnsigned || kind == Kind::kSigned; }
};

// Of "u32" (without the dot); kind kNone if there is none of that name.
Type type_of(std::string_view name);

enum class Space : uint8_t { kGeneric, kGlobal, kShared, kLocal, kConst, kParam };

// Where in the PTX text, and in the CUDA source if the text has .loc
struct Place {
  unsigned ptx_line = 0;
  unsigned file = 0, line = 0, column = 0;
};

// Part of an initial value that is the address of a variable or function.
struct Relocation {
  size_t offset, bytes;
  std::string symbol;
  int64_t addend;
};

struct Variable {
  std::string name;
  Space space = Space::kGlobal;
  size_t align = 1, bytes = 0;
  char kind = '?';               // of one number: 'f' floating-point, 'i' integer; 64 bits may be an address, and are '?'
  bool external = false;         // .extern: dynamic shared memory if it is .shared
  std::vector<uint8_t> initial;  // empty: zeroes
  std::vector<Relocation> relocations;
  unsigned line = 0;
};

// An operand as written
struct Arg {
  enum Form : uint8_t {
    kRegister,   // index
    kLocal,      // index of a variable of the function (.local, .param, .shared)
    kInteger,    // bits
    kReal,       // real: a decimal floating-point number
    kBitsOfReal, // bits: 0f... (index 32) or 0d... (index 64)
    kName,       // anything else: %tid.x, a module's variable, a function, a label
    kAddress,    // [parts[0] + offset], or [parts[0], parts[1]] of a tensor map and coordinates
    kVector,     // {parts}
    kGroup,      // (parts)
    kPair,       // parts[0]|parts[1]
    kNothing     // _
  };
  Form form = kNothing;
  bool negated = false;  // !p
  uint32_t index = 0;
  uint64_t bits = 0;
  double real = 0;
  int64_t offset = 0;
  std::string name;
  std::vector<Arg> parts;
};

struct Statement {
  Place place;
  std::string opcode;
  bool guarded = false;
  Arg guard;
  std::vector<Arg> args;
};

struct RegisterName {
  std::string name;
  Type type;
};

struct FunctionText {
  std::string name;
  bool entry = false, defined = false;
  unsigned line = 0;
  unsigned max_threads = 0;         // .maxntid or .reqntid; 0 = not said
  std::vector<Variable> variables;  // the first ones are the results and then the parameters
  size_t results = 0, parameters = 0;
  std::vector<RegisterName> registers;
  std::vector<Statement> statements;
  std::map<std::string, size_t> labels;                     // index of the statement that follows
  std::map<std::string, std::vector<std::string>> targets;  // .branchtargets: labels
};

struct Program {
  std::map<unsigned, std::string> files;  // of .file
  std::vector<Variable> variables;
  std::vector<FunctionText> functions;
};

// Throws Refused.
Program read(std::string_view text);

}  // namespace emu::ptx
