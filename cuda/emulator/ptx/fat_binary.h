// SPDX-License-Identifier: Apache-2.0
// Fat binaries, as nvcc -fatbin makes them: code for several GPUs and PTX in one image.
#pragma once
#include <string>

namespace emu::ptx {

// By the first four bytes
bool is_fat_binary(const std::string& start);

// The PTX text in it; empty if there is none that can be had, and why.
std::string ptx_of_fat_binary(const void* image, std::string& error);

}  // namespace emu::ptx
