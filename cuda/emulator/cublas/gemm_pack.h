// SPDX-License-Identifier: Apache-2.0
// Packing for the GEMM: operand panels become contiguous f32, so that the inner kernel knows one type and one layout.
#pragma once

#include <cstdint>
#include <immintrin.h>

#include "../core/bfloat16.h"
#include "../core/float16.h"

namespace emu::gemm {

inline float widen(float x) { return x; }
inline float widen(bf16 x) { return bf16_to_float(x); }
inline float widen(f16 x) { return f16_to_float(x); }

inline __m256 load8(const float* p) { return _mm256_loadu_ps(p); }
inline __m256 load8(const bf16* p) {
  __m256i wide = _mm256_cvtepu16_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)));
  return _mm256_castsi256_ps(_mm256_slli_epi32(wide, 16));
}
inline __m256 load8(const f16* p) { return _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p))); }

// rows[i][0..7] -> out[j * stride + i]: the transpose of an 8 x 8 tile
inline void transpose8(const __m256 row[8], float* out, int stride) {
  __m256 pair[8], quad[8];
  for (int i = 0; i < 4; i++) {
    pair[2 * i] = _mm256_unpacklo_ps(row[2 * i], row[2 * i + 1]);
    pair[2 * i + 1] = _mm256_unpackhi_ps(row[2 * i], row[2 * i + 1]);
  }
  for (int half = 0; half < 2; half++) {
    const __m256* p = pair + 4 * half;
    __m256* q = quad + 4 * half;
    q[0] = _mm256_shuffle_ps(p[0], p[2], 0x44);
    q[1] = _mm256_shuffle_ps(p[0], p[2], 0xee);
    q[2] = _mm256_shuffle_ps(p[1], p[3], 0x44);
    q[3] = _mm256_shuffle_ps(p[1], p[3], 0xee);
  }
  for (int j = 0; j < 4; j++) {
    _mm256_storeu_ps(out + j * stride, _mm256_permute2f128_ps(quad[j], quad[4 + j], 0x20));
    _mm256_storeu_ps(out + (j + 4) * stride, _mm256_permute2f128_ps(quad[j], quad[4 + j], 0x31));
  }
}

// out[p * Width + i] = element (first + i, p) for p in [0, depth), i in [0, Width); i >= count becomes 0.
// The source is either contiguous along i (element (i, p) at base[p * ld + i]) or along p (base[i * ld + p]).
template <int Width, class T>
void pack(const T* base, int64_t ld, bool contiguous_in_p, int64_t first, int count, int64_t from, int depth,
          float* out) {
  if (contiguous_in_p) {
    const T* source = base + first * ld + from;
    int done = 0;
    if constexpr (Width % 8 == 0) {
      if (count == Width) {
        for (; done + 8 <= depth; done += 8) {
          for (int i = 0; i < Width; i += 8) {
            __m256 row[8];
            for (int r = 0; r < 8; r++) row[r] = load8(source + (i + r) * ld + done);
            transpose8(row, out + done * Width + i, Width);
          }
        }
      }
    }
    for (int i = 0; i < count; i++) {
      for (int p = done; p < depth; p++) out[p * Width + i] = widen(source[i * ld + p]);
    }
  } else {
    for (int p = 0; p < depth; p++) {
      const T* source = base + (from + p) * ld + first;
      int i = 0;
      if constexpr (Width % 8 == 0) {
        if (count == Width) {
          for (; i < Width; i += 8) _mm256_storeu_ps(out + p * Width + i, load8(source + i));
        }
      }
      for (; i < count; i++) out[p * Width + i] = widen(source[i]);
    }
  }
  for (int p = 0; p < depth && count < Width; p++) {
    for (int i = count; i < Width; i++) out[p * Width + i] = 0;
  }
}

} // namespace emu::gemm
