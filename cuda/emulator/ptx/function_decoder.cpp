// SPDX-License-Identifier: Apache-2.0
#include "function_decoder.h"

#include <cstring>

#include "decoder.h"

namespace emu::ptx {

const std::vector<std::string> kSpecialRegisters = {
    "%tid.x",     "%tid.y",       "%tid.z",       "%ntid.x",      "%ntid.y",      "%ntid.z",     "%ctaid.x",
    "%ctaid.y",   "%ctaid.z",     "%nctaid.x",    "%nctaid.y",    "%nctaid.z",    "%laneid",     "%warpid",
    "%nwarpid",   "%smid",        "%nsmid",       "%gridid",      "%lanemask_eq", "%lanemask_le", "%lanemask_lt",
    "%lanemask_ge", "%lanemask_gt", "%dynamic_smem_size", "%total_smem_size", "%envreg1",
    "%envreg2"};

namespace {

constexpr uint32_t round_up(size_t n, size_t to) { return static_cast<uint32_t>((n + to - 1) / to * to); }

const Maker* maker_of(std::string_view base) {
  static const Table* const tables[] = {&integer_operations(), &carry_operations(), &bit_operations(), &float_operations(),
      &compare_operations(), &convert_operations(),
                                        &move_operations(), &memory_operations(), &atomic_operations(), &warp_operations(),
                                        &matrix_operations(), &control_operations(), &mbarrier_operations(),
                                        &video_operations()};
  for (const Table* table : tables)
    if (const auto it = table->find(base); it != table->end()) return &it->second;
  return nullptr;
}

}  // namespace

FunctionDecoder::FunctionDecoder(Image& image, const FunctionText& text, Function& out) : image_(image), text_(text), out_(out) {
  out_.image = &image;
  out_.text = &text;
  place_registers();
  place_variables();
}

void FunctionDecoder::place_registers() {
  uint32_t offset = 0;
  for (const RegisterName& r : text_.registers) {
    Operand o;
    o.number = out_.registers++;
    if (r.type.kind == Kind::kPredicate) {
      o.bits = 1;
      o.offset = offset;
      offset += 4;
    } else {
      o.bits = static_cast<uint8_t>(r.type.bytes() * 8);
      o.offset = offset = round_up(offset, 64);
      offset += kWarpSize * static_cast<uint32_t>(r.type.bytes());
    }
    registers_.push_back(o);
  }
  out_.register_bytes = round_up(offset, 64);
}

// .local, and .param of device functions and of calls, are in the frame.
void FunctionDecoder::place_variables() {
  uint32_t at = 0;
  for (size_t i = 0; i < text_.variables.size(); i++) {
    const Variable& v = text_.variables[i];
    const bool kernel_parameter = text_.entry && i < text_.parameters;
    if (v.space != Space::kLocal && (v.space != Space::kParam || kernel_parameter)) {
      local_offset_.push_back(kNoRegister);
      continue;
    }
    at = round_up(at, std::max<size_t>(v.align, 4));
    local_offset_.push_back(at);
    if (v.bytes > kLocalBytes / 2 || at + v.bytes > kLocalBytes / 2)
      throw Refused(v.line, "local memory of " + text_.name + " needs more than " + std::to_string(kLocalBytes / 2) + " bytes");
    at += static_cast<uint32_t>(v.bytes);
  }
  out_.local_bytes = round_up(at, 16);
  if (text_.entry) return;
  for (size_t i = 0; i < text_.results + text_.parameters; i++)
    (i < text_.results ? out_.results : out_.parameters).push_back(slot_of_local(static_cast<uint32_t>(i), text_.line));
}

Slot FunctionDecoder::slot_of_local(uint32_t variable, unsigned line) const {
  if (local_offset_[variable] == kNoRegister) throw Refused(line, text_.variables[variable].name + " is not in .param space of a call");
  return {local_offset_[variable], static_cast<uint32_t>(text_.variables[variable].bytes)};
}

Operand FunctionDecoder::constant(uint64_t bits, int width) {
  const auto [it, added] = constants_.emplace(std::pair(bits, width), constant_bytes_);
  if (added) {
    constant_values_.push_back({constant_bytes_, {bits, width}});
    constant_bytes_ += round_up(width == 1 ? 4 : kWarpSize * static_cast<uint32_t>(width) / 8, 64);
  }
  Operand o;
  o.base = kConstants;
  o.offset = it->second;
  o.bits = static_cast<uint8_t>(width);
  return o;
}

uint64_t FunctionDecoder::value_of(const Operand& constant) const {
  for (const auto& [offset, value] : constant_values_)
    if (offset == constant.offset) return value.first;
  return 0;
}

Operand FunctionDecoder::launch_symbol(size_t slot, int width, int64_t distance, unsigned line) {
  if (distance) throw Refused(line, "a distance from a variable of a launch must be in an address");
  Operand o;
  o.base = kLaunch;
  o.offset = static_cast<uint32_t>(slot) * kLaunchSlot + (width == 32 ? 32 * 8 : 0);
  o.bits = static_cast<uint8_t>(width);
  return o;
}

bool FunctionDecoder::named(const std::string& name, int width, int64_t distance, Operand& out, Space& space) {
  space = Space::kGeneric;
  for (size_t i = 0; i < kSpecialRegisters.size(); i++) {
    if (kSpecialRegisters[i] != name || width != 32) continue;
    out = Operand{};
    out.base = kSpecial;
    out.offset = static_cast<uint32_t>(i) * kSpecialSlot;
    return true;
  }
  if (name == "WARP_SZ") {
    out = constant(kWarpSize, width);
    return true;
  }
  for (size_t i = 0; i < image_.shared.size(); i++) {
    if (image_.shared[i]->name != name) continue;
    out = launch_symbol(i, width, distance, 0);
    space = Space::kShared;
    return true;
  }
  if (const Global* g = image_.global(name)) {
    out = constant(reinterpret_cast<uint64_t>(g->address) + static_cast<uint64_t>(distance), width);
    space = g->variable->space;
    return true;
  }
  if (const Function* f = image_.function(name)) {
    out = constant(reinterpret_cast<uint64_t>(f), width);
    return true;
  }
  return false;
}

Operand FunctionDecoder::address_of_local(uint32_t variable, int width, int64_t distance, Space& space, unsigned line) {
  const Variable& v = text_.variables[variable];
  space = v.space;
  if (v.space == Space::kShared) {
    for (size_t i = 0; i < image_.shared.size(); i++)
      if (image_.shared[i] == &v) return launch_symbol(i, width, distance, line);
  }
  if (local_offset_[variable] == kNoRegister) {
    if (v.space != Space::kParam) throw Refused(line, "variable " + v.name + " is in a state space that functions do not have");
    return launch_symbol(image_.shared.size() + variable, width, distance, line);
  }
  if (v.space == Space::kParam) space = Space::kLocal;
  const auto [it, added] = addresses_.emplace(std::tuple(variable, distance, width), Operand{});
  if (added) {
    Operand& o = it->second;
    o.number = out_.registers++;
    o.bits = static_cast<uint8_t>(width);
    o.offset = static_cast<uint32_t>(out_.register_bytes);
    out_.register_bytes += kWarpSize * 8;
    out_.addresses.push_back({o.offset, o.number, local_offset_[variable] + static_cast<uint32_t>(distance)});
  }
  return it->second;
}

uint32_t FunctionDecoder::label(const std::string& name, unsigned line) const {
  const auto it = text_.labels.find(name);
  if (it == text_.labels.end()) throw Refused(line, "there is no label " + name + " in " + text_.name);
  return static_cast<uint32_t>(it->second);
}

uint32_t FunctionDecoder::table(const std::string& name, unsigned line) {
  const auto it = text_.targets.find(name);
  if (it == text_.targets.end()) throw Refused(line, "there are no branch targets " + name + " in " + text_.name);
  std::vector<uint32_t>& targets = out_.tables.emplace_back();
  for (const std::string& target : it->second) targets.push_back(label(target, line));
  return static_cast<uint32_t>(out_.tables.size() - 1);
}

uint32_t FunctionDecoder::add_call(Call call) {
  out_.calls.push_back(std::move(call));
  return static_cast<uint32_t>(out_.calls.size() - 1);
}

void FunctionDecoder::decode() {
  out_.code.resize(text_.statements.size() + 1);
  for (size_t i = 0; i < text_.statements.size(); i++) {
    const Statement& s = text_.statements[i];
    Ins& ins = out_.code[i];
    ins.text = &s;
    if (s.guarded) {
      const Operand guard = reg(s.guard.index);
      ins.guarded = true;
      ins.guard_negated = s.guard.negated;
      ins.guard = guard.offset;
      ins.guard_number = guard.number;
    }
    Decoder decoder(*this, s, ins);
    const Maker* maker = maker_of(decoder.base());
    if (!maker) decoder.unknown();
    (*maker)(decoder);
    decoder.finish(out_);
  }
  // Running off the end is a return.
  static const Statement end{{}, "ret", false, {}, {}};
  out_.code.back().flow = Flow::kReturn;
  out_.code.back().text = text_.statements.empty() ? &end : &text_.statements.back();

  out_.constants.assign(constant_bytes_ + 64, 0);
  char* base = const_cast<char*>(out_.constant_base());
  for (const auto& [offset, value] : constant_values_) {
    const auto& [bits, width] = value;
    const size_t n = width == 1 ? 4 : static_cast<size_t>(width) / 8;
    for (unsigned lane = 0; lane < (width == 1 ? 1 : kWarpSize); lane++) std::memcpy(base + offset + lane * n, &bits, n);
  }
}

}  // namespace emu::ptx
