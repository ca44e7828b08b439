// SPDX-License-Identifier: Apache-2.0
// Codes of a matrix with few bits per weight, row by row, into the order in which our own products take them (skinny_weights.cuh,
// "Order"): once, when a checkpoint is loaded.
//
// Shape   codes u8 [128, columns], one code per byte, columns a multiple of 8; units [ceil(columns / 64)] one behind the other, zeros
//         behind the last column.
// Floor   codes read once, units written once; the copy of the codes to the device takes longer by far.
// Idea    a block makes a unit. A thread gathers what it will multiply later, pair by pair, and writes its words beside its neighbours'.
// Bits    moved, never changed.
#include "dvl.cuh"
#include "skinny_weights.cuh"

namespace {

// Register r's pair of codes, where Int4Code::decode takes it from
__device__ __forceinline__ void put(uint32_t& codes, int r, uint32_t first, uint32_t second) { codes |= (first | second << 16) << 4 * r; }

// and where Fp8Code::decode does
__device__ __forceinline__ void put(uint2& codes, int r, uint32_t first, uint32_t second) {
  (r < 2 ? codes.x : codes.y) |= (first | second << 16) << (r % 2 == 0 ? 8 : 0);
}

template <class Code>
__device__ __forceinline__ void pack(const unsigned char* codes, unsigned char* units, int columns) {
  using Codes = typename Code::Codes;
  const int lane = int(threadIdx.x) % 32, row = int(threadIdx.x) / 32 * 16 + lane / 4;
  Codes* const unit = reinterpret_cast<Codes*>(units + int64_t(blockIdx.x) * dvl::PackedWeights<Code>::kCodeBytes);
#pragma unroll
  for (int step = 0; step < dvl::kChunk / 16; step++) {
    Codes word{};
#pragma unroll
    for (int r = 0; r < 4; r++) {
      const int column = int(blockIdx.x) * dvl::kChunk + step * 16 + lane % 4 * 2 + 8 * (r / 2);
      if (column >= columns) continue;
      const uint32_t pair = *reinterpret_cast<const uint16_t*>(codes + int64_t(row + 8 * (r % 2)) * columns + column);
      put(word, r, pair & 0xff, pair >> 8);
    }
    unit[step * dvl::kSkinnyThreads + int(threadIdx.x)] = word;
  }
}

}  // namespace

#define PACK_WEIGHTS(FORM, CODE)                                                            \
  extern "C" __global__ void __launch_bounds__(dvl::kSkinnyThreads)                         \
      pack_weights_##FORM(const unsigned char* codes, unsigned char* units, int columns) { \
    pack<CODE>(codes, units, columns);                                                      \
  }                                                                                         \
  DVL_EXPORT(pack_weights_##FORM)

PACK_WEIGHTS(fp8, dvl::Fp8Code<bf16>);
PACK_WEIGHTS(int4, dvl::Int4Code<bf16>);
