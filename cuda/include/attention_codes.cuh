// SPDX-License-Identifier: Apache-2.0
// Keys and values as E4M3 codes with a scale per row (e4m3.cuh), for attention.cu: in which order they are multiplied, and how they are
// scaled.
//
// Idea    ldmatrix moves pairs of bytes and gives a thread two neighbours of a row (keys) or of two rows (values, transposed). The codes at
//         even places are one operand, those at odd places the other: with the cache's order of codes, columns c and 8 + c, as if they
//         were numbers of T. They are widened in registers. A key's scale is a factor of its scores, a value's of its weight.
#pragma once
#include "attention_rows.cuh"
#include "e4m3.cuh"

namespace dvl::attention {

template <class Number>
struct Codes {
  static constexpr int D = kCodedHead;
  using T = Number;
  using Element = unsigned char;
  using Tile = RowTile<D, 1>;
  const float *key_scales, *value_scales;  // of the tile's rows, in shared memory; times kUnit, and keys' times the scores' scale

  // By what a widened code is too small. f16 would lose small products of weight and scale, so the codes keep it and the scales bring it.
  static constexpr float kUnit = kIsF16<T> ? 256.f : 1.f;
  static __device__ __forceinline__ uint32_t widened(uint32_t codes) { return kIsF16<T> ? moved_codes<T>(codes) : widened_codes<T>(codes); }

  __device__ __forceinline__ float score(float product, int key) const { return product * key_scales[key]; }
  __device__ __forceinline__ float weight(float p, int key) const { return p * value_scales[key]; }

  static __device__ __forceinline__ void multiply_keys(float (&low)[4], float (&high)[4], const uint32_t (&query)[RowTile<D>::kSteps][4],
                                                       const unsigned char* keys, int first_key) {
    const int lane = threadIdx.x & 31;
#pragma unroll
    for (int s = 0; s < RowTile<D>::kSteps; s += 2) {
      uint32_t b[4];  // of eight keys and sixteen columns, the sixteen behind them, and so of the next eight keys
      ldmatrix_x4<false>(b, keys + Tile::at(first_key + (lane >> 4) * 8 + (lane & 7), s + (lane >> 3 & 1)));
#pragma unroll
      for (int i = 0; i < 2; i++) {
        mma<T>(low, query[s + i], widened(b[i] << 8), widened(b[i]));
        mma<T>(high, query[s + i], widened(b[2 + i] << 8), widened(b[2 + i]));
      }
    }
  }

  static __device__ __forceinline__ void add_values(float (&out)[RowTile<D>::kPieces][4], const uint32_t (&p)[4],
                                                    const unsigned char* values, int first_key) {
    const int lane = threadIdx.x & 31;
#pragma unroll
    for (int s = 0; s < RowTile<D>::kSteps; s += 2) {
      uint32_t b[4];  // of eight keys and sixteen columns, the next eight keys, and so of the sixteen columns behind
      ldmatrix_x4<true>(b, values + Tile::at(first_key + (lane & 15), s + (lane >> 4)));
#pragma unroll
      for (int i = 0; i < 2; i++) {
        mma<T>(out[2 * (s + i)], p, widened(b[2 * i] << 8), widened(b[2 * i + 1] << 8));
        mma<T>(out[2 * (s + i) + 1], p, widened(b[2 * i]), widened(b[2 * i + 1]));
      }
    }
  }
};

}  // namespace dvl::attention
