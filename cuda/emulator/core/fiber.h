// SPDX-License-Identifier: Apache-2.0
// The context switch between fibers (System V x86-64).
#pragma once

// Saves the callee-saved registers on the present stack and its pointer in *save, then resumes the context saved at `to`.
extern "C" void emu_switch(void** save, void* to) __attribute__((visibility("hidden")));

namespace emu {

// Lays out a context at the top of a stack that starts `entry` (which never returns) when switched to.
void* new_context(char* stack_top, void (*entry)());

}  // namespace emu
