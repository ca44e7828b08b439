// SPDX-License-Identifier: Apache-2.0
// Tensor maps.
#include "driver_api.h"

using namespace selftest;

TEST(driver_tensor_maps) {
  OwnContext context;
  alignas(64) unsigned char map[128] = {}, other[128] = {};
  uint64_t dimensions[] = {128, 64}, strides[] = {256};
  unsigned box[] = {64, 32}, steps[] = {1, 1};
  CUdeviceptr x = allocate(128 * 64 * 2);
  auto encode = [&](void* out, int type, unsigned rank, int swizzle) {
    return cuTensorMapEncodeTiled(out, type, rank, reinterpret_cast<void*>(x), dimensions, strides, box, steps, 0, swizzle, 2, 0);
  };
  CHECK_EQUAL(encode(map, 9, 2, 3), 0);
  CHECK_EQUAL(encode(other, 9, 2, 3), 0);
  CHECK_EQUAL(std::memcmp(map, other, 128), 0);
  CHECK_EQUAL(encode(other, 9, 2, 0), 0);
  CHECK_EQUAL(std::memcmp(map, other, 128) != 0, true);
  CHECK_EQUAL(encode(map, 9, 6, 0), 1);
  CHECK_EQUAL(encode(map + 16, 9, 2, 0), 1);
  CHECK_EQUAL(encode(map, 9, 2, 1), 1); // 128 bytes do not fit into a swizzle of 32
  strides[0] = 200;
  CHECK_EQUAL(encode(map, 9, 2, 0), 1);
}
