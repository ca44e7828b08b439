// SPDX-License-Identifier: Apache-2.0
// What the project's tests ask of the emulated device beside the driver API, as plain C functions for java.lang.foreign.
#include <algorithm>
#include <cstring>
#include <string>

#include "core.h"

#define TEST_HOOK extern "C" EMU_API

namespace {

// Copies as much as there is room for, ending with 0; returns the length of the whole text.
long give(const std::string& text, char* to, long capacity) {
  if (capacity > 0) {
    const size_t n = std::min<size_t>(text.size(), static_cast<size_t>(capacity) - 1);
    std::memcpy(to, text.data(), n);
    to[n] = 0;
  }
  return static_cast<long>(text.size());
}

}  // namespace

TEST_HOOK void dvl_emulator_set_options(const char* options) { emu::set_options(options); }

// The findings since the last call, one per line.
TEST_HOOK long dvl_emulator_take_reports(char* text, long capacity) { return give(emu::take_reports(), text, capacity); }

// The kernels launched since the last call, one "file kernel" per line.
TEST_HOOK long dvl_emulator_take_launched(char* text, long capacity) { return give(emu::take_launched(), text, capacity); }

// From now on, or no more: a journal of what runs on the device. Either way it begins empty.
TEST_HOOK void dvl_emulator_keep_journal(int on) { emu::keep_journal(on != 0); }

// The journal's lines since the last call (see core.h).
TEST_HOOK long dvl_emulator_take_journal(char* text, long capacity) { return give(emu::take_journal(), text, capacity); }

// The n-th creation of device memory, pinned memory, a stream, an event, a graph or a library's object from now on fails; 0: none.
TEST_HOOK void dvl_emulator_fail_creation(long n) { emu::fail_creation(static_cast<uint64_t>(n)); }

// Creations since the call above.
TEST_HOOK long dvl_emulator_creations() { return static_cast<long>(emu::creations()); }

// What has been created and not destroyed, one "kind count" per line.
TEST_HOOK long dvl_emulator_created_objects(char* text, long capacity) { return give(emu::created_objects(), text, capacity); }

// Adds a finding for device memory that is still allocated; returns its bytes.
TEST_HOOK long dvl_emulator_report_leaks() { return static_cast<long>(emu::report_leaks()); }

// Rows of ldmatrix that shared the banks of another row since the last call.
TEST_HOOK long dvl_emulator_take_ldmatrix_conflicts() { return static_cast<long>(emu::statistics(true).ldmatrix_conflicts); }

TEST_HOOK int dvl_emulator_is_check_build() { return emu::is_check_build(); }
