// SPDX-License-Identifier: Apache-2.0
#pragma once

namespace emu {

// A fault inside a kernel ends its block with a report; any other goes to the handler that was there before (the JVM's).
void install_fault_handlers();

}  // namespace emu
