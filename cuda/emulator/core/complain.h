// SPDX-License-Identifier: Apache-2.0
// One line on stderr about a call that cannot be served, prefixed like the core's reports. For the facades.
#pragma once

#include <cstdarg>
#include <cstdio>

namespace emu {

__attribute__((format(printf, 1, 2))) inline void complain(const char* format, ...) {
  char line[512];
  va_list arguments;
  va_start(arguments, format);
  std::vsnprintf(line, sizeof line, format, arguments);
  va_end(arguments);
  std::fprintf(stderr, "emulated device: %s\n", line);
}

} // namespace emu
