// SPDX-License-Identifier: Apache-2.0
// Tensor maps: checked as CUDA checks them and encoded in a format of the emulated device's own. It has no unit that copies by them.
#include <cstring>

#include "state.h"

using namespace emu::driver;

namespace {

constexpr int ELEMENT_BYTES[] = {1, 2, 4, 4, 8, 8, 2, 4, 8, 2, 4, 4, 4}; // by CUtensorMapDataType
constexpr int SWIZZLE_BYTES[] = {0, 32, 64, 128};                        // by CUtensorMapSwizzle

struct Encoded {
  char magic[8];
  uint64_t address;
  unsigned char type, rank, swizzle, promotion, fill;
  unsigned dimension[5];
  unsigned stride[4]; // in units of 16 bytes
  unsigned short box[5];
  unsigned char step[5];
};
static_assert(sizeof(Encoded) <= 128, "the size of a CUtensorMap");

} // namespace

CUDA_API CUresult cuTensorMapEncodeTiled(void* out, int type, unsigned rank, void* address, const uint64_t* dimensions,
                                         const uint64_t* strides, const unsigned* box, const unsigned* steps, int interleave,
                                         int swizzle, int promotion, int fill) {
  return with_driver([&]() -> CUresult {
    if (!out || !dimensions || !box || !steps || rank < 1 || rank > 5 || (rank > 1 && !strides)) return CUDA_ERROR_INVALID_VALUE;
    if (reinterpret_cast<uintptr_t>(out) % 64 || reinterpret_cast<uintptr_t>(address) % 16) return CUDA_ERROR_INVALID_VALUE;
    if (type < 0 || type >= int(std::size(ELEMENT_BYTES)) || swizzle < 0 || swizzle >= int(std::size(SWIZZLE_BYTES)) ||
        promotion < 0 || promotion > 3 || fill < 0 || fill > 1) {
      return CUDA_ERROR_INVALID_VALUE;
    }
    if (interleave) return CUDA_ERROR_NOT_SUPPORTED;
    Encoded map = {{'e', 'm', 'u', ' ', 'm', 'a', 'p'}, reinterpret_cast<uint64_t>(address), static_cast<unsigned char>(type),
                   static_cast<unsigned char>(rank), static_cast<unsigned char>(swizzle), static_cast<unsigned char>(promotion),
                   static_cast<unsigned char>(fill), {}, {}, {}, {}};
    for (unsigned i = 0; i < rank; i++) {
      bool fits = dimensions[i] >= 1 && dimensions[i] <= uint64_t(1) << 32 && box[i] >= 1 && box[i] <= 256 && steps[i] >= 1 &&
                  steps[i] <= 8;
      if (!fits) return CUDA_ERROR_INVALID_VALUE;
      map.dimension[i] = unsigned(dimensions[i] - 1);
      map.box[i] = static_cast<unsigned short>(box[i]);
      map.step[i] = static_cast<unsigned char>(steps[i]);
      if (i + 1 == rank) break;
      if (strides[i] % 16 || strides[i] >= uint64_t(1) << 36) return CUDA_ERROR_INVALID_VALUE;
      map.stride[i] = unsigned(strides[i] / 16);
    }
    unsigned inner = box[0] * unsigned(ELEMENT_BYTES[type]);
    if (inner % 16 || (swizzle && inner > unsigned(SWIZZLE_BYTES[swizzle]))) return CUDA_ERROR_INVALID_VALUE;
    std::memset(out, 0, 128);
    std::memcpy(out, &map, sizeof map);
    return CUDA_SUCCESS;
  });
}
