// SPDX-License-Identifier: Apache-2.0
// Decodes a function: gives its registers, constants and variables their places and its statements their instructions.
#pragma once
#include <map>

#include "code.h"

namespace emu::ptx {

// Bytes of one symbol of a launch: 32 addresses of 64 bits, then the same ones in 32 bits.
constexpr uint32_t kLaunchSlot = 32 * 8 + 32 * 4;

// Special registers that hold still while a warp runs, 32 values of 32 bits each, in this order.
extern const std::vector<std::string> kSpecialRegisters;
constexpr uint32_t kSpecialSlot = 32 * 4;

class FunctionDecoder {
 public:
  FunctionDecoder(Image& image, const FunctionText& text, Function& out);
  void decode();

  Operand reg(uint32_t index) const { return registers_[index]; }
  Type type_of_register(uint32_t index) const { return text_.registers[index].type; }
  Operand constant(uint64_t bits, int width);
  uint64_t value_of(const Operand& constant) const;
  // A name outside of registers: special register, variable of the module, function. False if there is none of that name.
  bool named(const std::string& name, int width, int64_t distance, Operand& out, Space& space);
  Operand address_of_local(uint32_t variable, int width, int64_t distance, Space& space, unsigned line);
  uint32_t label(const std::string& name, unsigned line) const;
  uint32_t table(const std::string& name, unsigned line);
  uint32_t add_call(Call call);
  Slot slot_of_local(uint32_t variable, unsigned line) const;
  const FunctionText& text() const { return text_; }
  Image& image() { return image_; }

 private:
  void place_registers();
  void place_variables();
  Operand launch_symbol(size_t slot, int width, int64_t distance, unsigned line);

  Image& image_;
  const FunctionText& text_;
  Function& out_;
  std::vector<Operand> registers_;
  std::map<std::pair<uint64_t, int>, uint32_t> constants_;  // offsets
  std::map<std::tuple<uint32_t, int64_t, int>, Operand> addresses_;
  std::vector<uint32_t> local_offset_;  // of variables, kNoRegister if they are not in the frame
  uint32_t constant_bytes_ = 0;
  std::vector<std::pair<uint32_t, std::pair<uint64_t, int>>> constant_values_;
};

}  // namespace emu::ptx
