// SPDX-License-Identifier: Apache-2.0
// Findings: text with kernel, block, thread and place, kept for take_reports() and printed once.
#pragma once
#include <cstdarg>

#include "device_code.h"

namespace emu {

// The launch continues but will fail. Site() = no place. At most about 500 characters.
void finding(Site site, const char* format, ...) __attribute__((format(printf, 2, 3)));

// The same with a code address (just behind the instruction), turned into file:line through the debug information.
void finding_at(const void* pc, const char* format, ...) __attribute__((format(printf, 2, 3)));

// Both, for callers with a format of their own. One finding is kept for each place and format, whatever the numbers.
void finding_list(Site site, const void* pc, const char* format, va_list list);

// A finding after which the running block cannot go on.
[[noreturn]] void give_up(Site site, const char* format, ...) __attribute__((format(printf, 2, 3)));

inline unsigned line_of(Site site) { return site.line; }
bool same_place(Site a, Site b);

// ", n bytes past the end of an allocation of m bytes" if p is just behind one, else "" (device_memory.cpp).
void describe_address(const void* p, char* text, size_t capacity);

}  // namespace emu
