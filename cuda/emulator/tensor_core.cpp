// SPDX-License-Identifier: Apache-2.0
// Fragment layouts: PTX ISA, "Matrix Fragments for mma.m16n8k16" and "ldmatrix".
#include "tensor_core.h"

#include <immintrin.h>

#include <cstring>

namespace emu {
namespace {

inline float low(uint32_t pair) { return bf16_to_float({static_cast<uint16_t>(pair)}); }
inline float high(uint32_t pair) { return bf16_to_float({static_cast<uint16_t>(pair >> 16)}); }

}  // namespace

void do_ldmatrix(Worker& w, Fiber* lanes, bool transposed) {
  const auto argument = [&](unsigned lane) -> LdmatrixArgument& {
    return *static_cast<LdmatrixArgument*>(lanes[lane].argument);
  };
  union {
    uint16_t element[8][8];
    uint32_t pair[8][4];
  } tile[4];
  const int tiles = argument(0).tiles;
  for (int i = 0; i < tiles; i++) {
    uint32_t banks = 0;  // 8 rows of 16 bytes are free of conflicts if they fall into 8 different groups of 4 banks
    for (int r = 0; r < 8; r++) {
      const void* row = argument(i * 8 + r).row;
      std::memcpy(tile[i].element[r], row, 16);
      const uint32_t bank = 1u << (reinterpret_cast<uintptr_t>(row) >> 4 & 7);
      w.stats.ldmatrix_conflicts += (banks & bank) != 0;
      banks |= bank;
    }
  }
  for (unsigned lane = 0; lane < kWarpSize; lane++) {
    const unsigned g = lane / 4, t = lane % 4;
    uint32_t* r = argument(lane).r;
    for (int i = 0; i < tiles; i++)
      r[i] = transposed ? tile[i].element[2 * t][g] | static_cast<uint32_t>(tile[i].element[2 * t + 1][g]) << 16
                        : tile[i].pair[g][t];
  }
  w.stats.ldmatrix++;
}

void do_mma(Worker& w, Fiber* lanes) {
  const auto argument = [&](unsigned lane) -> const MmaArgument& {
    return *static_cast<const MmaArgument*>(lanes[lane].argument);
  };
  float a[16][16];
  alignas(32) float b[16][8], d[16][8];
  for (unsigned lane = 0; lane < kWarpSize; lane++) {
    const MmaArgument& m = argument(lane);
    const unsigned g = lane / 4, t = lane % 4 * 2;
    a[g][t] = low(m.a[0]), a[g][t + 1] = high(m.a[0]);
    a[g + 8][t] = low(m.a[1]), a[g + 8][t + 1] = high(m.a[1]);
    a[g][t + 8] = low(m.a[2]), a[g][t + 9] = high(m.a[2]);
    a[g + 8][t + 8] = low(m.a[3]), a[g + 8][t + 9] = high(m.a[3]);
    b[t][g] = low(m.b[0]), b[t + 1][g] = high(m.b[0]);
    b[t + 8][g] = low(m.b[1]), b[t + 9][g] = high(m.b[1]);
    std::memcpy(&d[g][t], m.d, 8);
    std::memcpy(&d[g + 8][t], m.d + 2, 8);
  }
  for (int row = 0; row < 16; row++) {
    __m256 sum = _mm256_load_ps(d[row]);
    for (int k = 0; k < 16; k++) sum = _mm256_fmadd_ps(_mm256_set1_ps(a[row][k]), _mm256_load_ps(b[k]), sum);
    _mm256_store_ps(d[row], sum);
  }
  for (unsigned lane = 0; lane < kWarpSize; lane++) {
    const MmaArgument& m = argument(lane);
    const unsigned g = lane / 4, t = lane % 4 * 2;
    std::memcpy(m.d, &d[g][t], 8);
    std::memcpy(m.d + 2, &d[g + 8][t], 8);
  }
  w.stats.mma++;
}

}  // namespace emu
