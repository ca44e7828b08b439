// SPDX-License-Identifier: Apache-2.0
// Turns one statement into one instruction. Every opcode has a function that takes the modifiers it knows, and the operands; what is
// left over is refused, so nothing is ever ignored.
#pragma once
#include <functional>
#include <unordered_map>

#include "machine.h"

namespace emu::ptx {

class FunctionDecoder;

class Decoder {
 public:
  Decoder(FunctionDecoder& f, const Statement& s, Ins& out);

  // ---- the opcode's modifiers: add.rn.ftz.f32 has rn, ftz and f32
  bool take(std::string_view modifier);
  bool has(std::string_view modifier) const;
  int take_one(std::initializer_list<std::string_view> modifiers);  // which of them is next wherever it stands, or -1
  std::string_view take_last();                                     // the last modifier that is left
  size_t modifiers() const { return modifiers_.size(); }
  Type type();                                                      // the last modifier that is left
  Type peek() const;                                                // the same, without taking it
  void drop_prefixed(std::string_view prefix);                      // L2::128B and the like
  [[noreturn]] void unknown() const;                                // refuses the opcode by its name
  [[noreturn]] void refuse(const std::string& why) const;
  void done(size_t args) const;                                     // no modifier must be left, and so many operands be there

  // ---- operands. Results come first.
  size_t args() const { return statement_.args.size(); }
  const Arg& arg(size_t n) const;
  void result(const Arg& a, int bits);   // a register of that width (0 = any)
  void source(const Arg& a, Type type);  // a register of the type's width, or a constant of the type
  void wide_source(const Arg& a, Type type);  // a register of that width or wider
  void wide_result(const Arg& a, Type type);
  int width(size_t n) const { return operands_[n].bits; }
  void widen_constants(size_t first, size_t count, int bits);  // of these operands, the constants get that width
  void predicate_result(const Arg& a);
  void predicate_source(const Arg& a);
  // [register + distance], [variable + distance]: one source of 64 bits, and out.immediate. The space of a variable's address.
  Space address(const Arg& a);
  unsigned line() const { return statement_.place.ptx_line; }
  std::string_view base() const { return base_; }
  void finish(Function& function);         // the instruction gets its operands

  Ins& out;
  FunctionDecoder& f;

 private:
  Operand any(const Arg& a, Type type, bool wide);
  [[noreturn]] void unknown_name(const std::string& name) const;

  const Statement& statement_;
  std::vector<std::string_view> modifiers_;
  std::vector<Operand> operands_;
  std::string_view base_;
};

using Maker = void (*)(Decoder&);

// The opcodes: "add" and the function for it. One table for each file of operations.
using Table = std::unordered_map<std::string_view, Maker>;
const Table& integer_operations();
const Table& carry_operations();
const Table& bit_operations();
const Table& float_operations();
const Table& compare_operations();
const Table& convert_operations();
const Table& move_operations();
const Table& memory_operations();
const Table& atomic_operations();
const Table& warp_operations();
const Table& matrix_operations();
const Table& control_operations();
const Table& mbarrier_operations();
const Table& video_operations();

// The integer forms of add, sub, mul, mad, div, min, max, abs and neg; their other forms are in float_operations().
void make_integer(Decoder& d, std::string_view base);
// add, sub, mul, fma, min, max, abs, neg and the rest for half precision.
void make_half(Decoder& d, std::string_view base, Type t);

// cp.async.bulk and cp.async.mbarrier, in mbarrier.cpp
void make_bulk_copy(Decoder& d);
void make_copies_arrive(Decoder& d);

// A function of the device's own library, or nullptr.
Run builtin_function(std::string_view name);

}  // namespace emu::ptx
