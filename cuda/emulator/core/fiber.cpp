// SPDX-License-Identifier: Apache-2.0
#include "fiber.h"

#include <cstdint>

// Only what a call must preserve: the compiler has saved the rest around the call. The floating-point control words are the
// same in all fibers and are left alone.
asm(R"(
.text
.p2align 4
.globl emu_switch
.hidden emu_switch
.type emu_switch,@function
emu_switch:
  pushq %rbp
  pushq %rbx
  pushq %r12
  pushq %r13
  pushq %r14
  pushq %r15
  movq %rsp, (%rdi)
  movq %rsi, %rsp
  popq %r15
  popq %r14
  popq %r13
  popq %r12
  popq %rbx
  popq %rbp
  ret
.size emu_switch,.-emu_switch
)");

namespace emu {

void* new_context(char* stack_top, void (*entry)()) {
  auto* sp = reinterpret_cast<void**>(reinterpret_cast<uintptr_t>(stack_top) & ~uintptr_t{63});
  *--sp = nullptr;  // the "return address" of entry: ends a debugger's walk, and aligns the stack as a call would
  *--sp = reinterpret_cast<void*>(entry);
  for (int i = 0; i < 6; i++) *--sp = nullptr;
  return sp;
}

}  // namespace emu
