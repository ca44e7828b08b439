// SPDX-License-Identifier: Apache-2.0
// A tensor map as this device encodes it into the 128 bytes of a CUtensorMap (driver/tensor_map.cpp).
#pragma once
#include <cstddef>
#include <cstdint>

namespace emu {

constexpr int kMaxTensorRank = 5;
constexpr uint32_t kTensorMapMark = 0x70616d65;

// Dimensions from the innermost one on.
struct TensorMap {
  uint32_t mark;
  uint8_t rank, element_bytes;
  uint8_t swizzle;  // 0 none, else 1, 2, 3: 16-byte pieces of a line of 32, 64 or 128 bytes change places
  uint8_t type;     // CUtensorMapDataType
  const char* address;
  uint32_t last[kMaxTensorRank];        // index of each dimension
  uint32_t stride[kMaxTensorRank - 1];  // of the dimensions but the innermost, in units of 16 bytes
  uint16_t box[kMaxTensorRank];
};
static_assert(sizeof(TensorMap) <= 128, "a CUtensorMap has 128 bytes");

}  // namespace emu
