// SPDX-License-Identifier: Apache-2.0
// Tensor maps: checked as CUDA checks them, encoded in a format of the emulated device's own (core/tensor_map.h).
#include "../core/tensor_map.h"

#include <cstring>
#include <iterator>

#include "state.h"

using namespace emu::driver;

namespace {

constexpr uint8_t ELEMENT_BYTES[] = {1, 2, 4, 4, 8, 8, 2, 4, 8, 2, 4, 4, 4}; // by CUtensorMapDataType
constexpr unsigned SWIZZLE_BYTES[] = {0, 32, 64, 128};                      // by CUtensorMapSwizzle
constexpr unsigned MAX_BOX = 256, MAX_STEP = 8;

} // namespace

CUDA_API CUresult cuTensorMapEncodeTiled(void* out, int type, unsigned rank, void* address, const uint64_t* dimensions,
                                         const uint64_t* strides, const unsigned* box, const unsigned* steps, int interleave,
                                         int swizzle, int promotion, int fill) {
  return with_driver([&]() -> CUresult {
    if (!out || !dimensions || !box || !steps || rank < 1 || rank > unsigned(emu::kMaxTensorRank) || (rank > 1 && !strides)) {
      return CUDA_ERROR_INVALID_VALUE;
    }
    if (reinterpret_cast<uintptr_t>(out) % 64 || reinterpret_cast<uintptr_t>(address) % 16) return CUDA_ERROR_INVALID_VALUE;
    if (type < 0 || type >= int(std::size(ELEMENT_BYTES)) || swizzle < 0 || swizzle >= int(std::size(SWIZZLE_BYTES)) ||
        promotion < 0 || promotion > 3 || fill < 0 || fill > 1) {
      return CUDA_ERROR_INVALID_VALUE;
    }
    if (interleave || fill) return CUDA_ERROR_NOT_SUPPORTED;
    emu::TensorMap map{};
    map.mark = emu::kTensorMapMark;
    map.rank = uint8_t(rank);
    map.type = uint8_t(type);
    map.element_bytes = ELEMENT_BYTES[type];
    map.swizzle = uint8_t(swizzle);
    map.address = static_cast<const char*>(address);
    for (unsigned i = 0; i < rank; i++) {
      if (dimensions[i] < 1 || dimensions[i] > uint64_t(1) << 32 || box[i] < 1 || box[i] > MAX_BOX || steps[i] < 1 || steps[i] > MAX_STEP) {
        return CUDA_ERROR_INVALID_VALUE;
      }
      if (steps[i] != 1) return CUDA_ERROR_NOT_SUPPORTED;
      map.last[i] = uint32_t(dimensions[i] - 1);
      map.box[i] = uint16_t(box[i]);
      if (i + 1 == rank) break;
      if (strides[i] % 16 || strides[i] >= uint64_t(1) << 36) return CUDA_ERROR_INVALID_VALUE;
      map.stride[i] = uint32_t(strides[i] / 16);
    }
    unsigned inner = box[0] * map.element_bytes;
    if (inner % 16 || (swizzle && inner > SWIZZLE_BYTES[swizzle])) return CUDA_ERROR_INVALID_VALUE;
    std::memset(out, 0, 128);
    std::memcpy(out, &map, sizeof map);
    return CUDA_SUCCESS;
  });
}
