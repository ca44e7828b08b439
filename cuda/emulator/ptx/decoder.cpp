// SPDX-License-Identifier: Apache-2.0
#include "decoder.h"

#include <algorithm>

#include "function_decoder.h"

namespace emu::ptx {

Decoder::Decoder(FunctionDecoder& f, const Statement& s, Ins& out) : out(out), f(f), statement_(s) {
  std::string_view rest = s.opcode;
  // "L1::no_allocate.L2::128B" is two modifiers: only single dots separate.
  while (!rest.empty()) {
    const size_t dot = rest.find('.');
    modifiers_.push_back(rest.substr(0, dot));
    rest = dot == std::string_view::npos ? "" : rest.substr(dot + 1);
  }
  base_ = modifiers_.front();
  modifiers_.erase(modifiers_.begin());
}

bool Decoder::has(std::string_view modifier) const { return std::find(modifiers_.begin(), modifiers_.end(), modifier) != modifiers_.end(); }

bool Decoder::take(std::string_view modifier) {
  const auto it = std::find(modifiers_.begin(), modifiers_.end(), modifier);
  if (it == modifiers_.end()) return false;
  modifiers_.erase(it);
  return true;
}

int Decoder::take_one(std::initializer_list<std::string_view> modifiers) {
  int n = 0;
  for (std::string_view m : modifiers) {
    if (take(m)) return n;
    n++;
  }
  return -1;
}

std::string_view Decoder::take_last() {
  if (modifiers_.empty()) unknown();
  const std::string_view last = modifiers_.back();
  modifiers_.pop_back();
  return last;
}

Type Decoder::peek() const {
  const Type t = modifiers_.empty() ? Type{} : type_of(modifiers_.back());
  if (t.kind == Kind::kNone || t.bits > 64) unknown();  // what takes 128 bits asks for b128
  return t;
}

Type Decoder::type() {
  const Type t = peek();
  modifiers_.pop_back();
  return t;
}

void Decoder::drop_prefixed(std::string_view prefix) {
  std::erase_if(modifiers_, [&](std::string_view m) { return m.substr(0, prefix.size()) == prefix; });
}

void Decoder::unknown() const { refuse("instruction '" + statement_.opcode + "' is not one that this device knows"); }
void Decoder::refuse(const std::string& why) const { throw Refused(line(), why + " (in " + f.text().name + ")"); }

void Decoder::unknown_name(const std::string& name) const {
  if (name.starts_with('%')) refuse("register '" + name + "' is neither declared nor one that this device has");
  refuse("'" + name + "' is not known");
}

void Decoder::done(size_t args) const {
  if (!modifiers_.empty()) unknown();
  if (args != statement_.args.size())
    refuse("'" + statement_.opcode + "' has " + std::to_string(statement_.args.size()) + " operands instead of " + std::to_string(args));
}

const Arg& Decoder::arg(size_t n) const {
  if (n >= statement_.args.size()) refuse("'" + statement_.opcode + "' lacks an operand");
  return statement_.args[n];
}

Operand Decoder::any(const Arg& a, Type type, bool wide) {
  const int width = static_cast<int>(type.bytes() * 8);
  Operand o;
  Space space;
  uint64_t bits = a.bits;
  switch (a.form) {
    case Arg::kRegister:
      o = f.reg(a.index);
      if (a.negated || o.bits == 1 || (wide ? o.bits < width : o.bits != width))
        refuse("'" + statement_.opcode + "' with register " + f.text().registers[a.index].name + " of another width");
      return o;
    case Arg::kInteger:
      if (type.kind == Kind::kFloat && type.bits > 16 && bits != 0) {  // of halves, the integer is the bits
        const double real = static_cast<double>(static_cast<int64_t>(bits));
        const float single = static_cast<float>(real);
        if (type.bits == 64) __builtin_memcpy(&bits, &real, 8);
        else bits = 0, __builtin_memcpy(&bits, &single, 4);
      }
      return f.constant(width >= 64 ? bits : bits & ((uint64_t{1} << width) - 1), width);
    case Arg::kReal:
    case Arg::kBitsOfReal: {
      const float single = static_cast<float>(a.real);
      if (a.form == Arg::kBitsOfReal && static_cast<int>(a.index) == width) return f.constant(bits, width);
      if (width == 64) __builtin_memcpy(&bits, &a.real, 8);
      else if (width == 32) bits = 0, __builtin_memcpy(&bits, &single, 4);
      else break;
      return f.constant(bits, width);
    }
    case Arg::kName:
      if (f.named(a.name, width, a.offset, o, space)) return o;
      unknown_name(a.name);
    case Arg::kLocal: return f.address_of_local(a.index, width, a.offset, space, line());
    default: break;
  }
  refuse("'" + statement_.opcode + "' with an operand of the wrong kind");
}

void Decoder::result(const Arg& a, int bits) {
  if (a.form != Arg::kRegister || (bits && f.reg(a.index).bits != bits))
    refuse("'" + statement_.opcode + "' with a result that is no register of " + std::to_string(bits) + " bits");
  operands_.push_back(f.reg(a.index));
  out.results++;
}
void Decoder::source(const Arg& a, Type type) { operands_.push_back(any(a, type, false)); }
void Decoder::wide_source(const Arg& a, Type type) { operands_.push_back(any(a, type, true)); }
void Decoder::wide_result(const Arg& a, Type type) {
  if (a.form != Arg::kRegister || f.reg(a.index).bits < static_cast<int>(type.bytes() * 8))
    refuse("'" + statement_.opcode + "' with a result that is no register of that width");
  result(a, 0);
}

void Decoder::widen_constants(size_t first, size_t count, int bits) {
  for (size_t k = first; k < first + count; k++)
    if (operands_[k].base == kConstants && operands_[k].bits < bits) operands_[k] = f.constant(f.value_of(operands_[k]), bits);
}

void Decoder::predicate_result(const Arg& a) { result(a, 1); }
void Decoder::predicate_source(const Arg& a) {
  Operand o;
  if (a.form == Arg::kInteger) o = f.constant(a.bits ? kFullMask : 0, 1);
  else if (a.form == Arg::kRegister && f.reg(a.index).bits == 1) o = f.reg(a.index);
  else refuse("'" + statement_.opcode + "' with an operand that is no predicate");
  o.negated = a.negated;
  operands_.push_back(o);
}

Space Decoder::address(const Arg& a) {
  if (a.form != Arg::kAddress) refuse("'" + statement_.opcode + "' with an operand that is no address");
  const Arg& base = a.parts[0];
  out.immediate = a.offset;
  Operand o;
  Space space = Space::kGeneric;
  if (base.form == Arg::kRegister) {
    o = f.reg(base.index);
    if (o.bits != 64 && o.bits != 32) refuse("an address in a register of " + std::to_string(o.bits) + " bits");
  } else if (base.form == Arg::kLocal) {
    o = f.address_of_local(base.index, 64, 0, space, line());
  } else if (base.form == Arg::kInteger) {
    o = f.constant(base.bits, 64);
  } else if (!f.named(base.name, 64, 0, o, space)) {
    unknown_name(base.name);
  }
  operands_.push_back(o);
  return space;
}

void Decoder::finish(Function& function) {
  const std::vector<Operand>& list = function.operand_lists.emplace_back(std::move(operands_));
  out.o = list.data();
  out.operands = static_cast<uint8_t>(list.size());
}

}  // namespace emu::ptx
