// SPDX-License-Identifier: Apache-2.0
// Fragment layouts: PTX ISA, "Matrix Fragments for mma.m16n8k16" and "ldmatrix".
#include "tensor_core.h"

#include <immintrin.h>

#include <cstring>

namespace emu {
namespace {

// 8 neighbouring numbers of 16 bits as f32
inline __m256 widen(const uint32_t* pairs, bool f16) {
  const __m128i bits = _mm_loadu_si128(reinterpret_cast<const __m128i*>(pairs));
  if (f16) return _mm256_cvtph_ps(bits);
  return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(bits), 16));
}

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

// Row r of A lies in the lanes 4 * (r % 8) + 0..3, and so does column c = r % 8 of B: 8 pairs along k each.
void do_mma(Worker& w, Fiber* lanes, bool f16) {
  const auto argument = [&](unsigned lane) -> const MmaArgument& {
    return *static_cast<const MmaArgument*>(lanes[lane].argument);
  };
  uint32_t a[16][8], b[8][8];
  alignas(32) float b_column[8][16], d[16][8];
  for (unsigned lane = 0; lane < kWarpSize; lane++) {
    const MmaArgument& m = argument(lane);
    const unsigned g = lane / 4, t = lane % 4;
    a[g][t] = m.a[0], a[g][t + 4] = m.a[2];
    a[g + 8][t] = m.a[1], a[g + 8][t + 4] = m.a[3];
    b[g][t] = m.b[0], b[g][t + 4] = m.b[1];
    std::memcpy(&d[g][2 * t], m.d, 8);
    std::memcpy(&d[g + 8][2 * t], m.d + 2, 8);
  }
  for (int column = 0; column < 8; column++) {
    _mm256_store_ps(&b_column[column][0], widen(&b[column][0], f16));
    _mm256_store_ps(&b_column[column][8], widen(&b[column][4], f16));
  }
  __m256 b_row[16];  // the transpose: what one k contributes to all columns
  const __m256i stride = _mm256_setr_epi32(0, 16, 32, 48, 64, 80, 96, 112);
  for (int k = 0; k < 16; k++) b_row[k] = _mm256_i32gather_ps(&b_column[0][k], stride, 4);
  for (int row = 0; row < 16; row++) {
    alignas(32) float a_row[16];
    _mm256_store_ps(a_row, widen(&a[row][0], f16));
    _mm256_store_ps(a_row + 8, widen(&a[row][4], f16));
    __m256 sum = _mm256_load_ps(d[row]);
    for (int k = 0; k < 16; k++) sum = _mm256_fmadd_ps(_mm256_broadcast_ss(a_row + k), b_row[k], sum);
    _mm256_store_ps(d[row], sum);
  }
  for (unsigned lane = 0; lane < kWarpSize; lane++) {
    const MmaArgument& m = argument(lane);
    const unsigned g = lane / 4, t = lane % 4;
    std::memcpy(m.d, &d[g][2 * t], 8);
    std::memcpy(m.d + 2, &d[g + 8][2 * t], 8);
  }
  w.stats.mma++;
}

}  // namespace emu
