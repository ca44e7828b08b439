// SPDX-License-Identifier: Apache-2.0
// RMSNorm, the stacked gate and up product and SwiGLU in one pass for few rows (skinny.cuh).
//
// Shape   h [rows, k] before the norm, squares f32 [rows, ceil(k / 128)] its sums of squares, norm [k], w [2 inter, k] (gate, then up);
//         out [rows, inter].
// Floor   w read once.
// Idea    a tile holds 64 rows of gate and the same 64 of up, so that a warp has both at hand.
// Rounds  the normalised value and its product with the norm's weight; gate, up, silu(gate), and the result.
#pragma once
#include "rounding.cuh"
#include "rows.cuh"
#include "skinny.cuh"

namespace {

constexpr int kPairs = dvl::kTile / 2;

template <class T>
struct Swiglu {
  T* out;
  int inter;

  using Operands = dvl::Nothing;
  __device__ __forceinline__ Operands ask(int, int) const { return {}; }

  __device__ __forceinline__ void operator()(int row, int tile, const float* columns, const Operands&) const {
    const int lane = int(threadIdx.x) % 32, column = tile * kPairs + lane * 2;
    if (column >= inter) return;
    float gate[2], up[2];
    dvl::load<2>(columns + lane * 2, gate);
    dvl::load<2>(columns + kPairs + lane * 2, up);
#pragma unroll
    for (int i = 0; i < 2; i++) gate[i] = dvl::swiglu_of<T>(gate[i], up[i]);
    dvl::store_piece(out + int64_t(row) * inter + column, inter - column, inter % 2 == 0, gate);
  }
};

}  // namespace

#define SKINNY_SWIGLU(M, T, FORM, suffix)                                                                                         \
  extern "C" __global__ void __launch_bounds__(DVL_THREADS_##FORM, dvl::kSkinnyResident<M>)                                       \
      skinny_swiglu_m##M##_##suffix(const T* h, const float* squares, const T* norm, float eps, DVL_PARAMETERS_##FORM(T), T* out, \
                                  float* partials, unsigned* arrived, int rows, int inter, int k, int span) {                     \
    DVL_PRODUCT_##FORM<M, true, true>(dvl::product(h, DVL_WEIGHTS_##FORM(T), rows, 2 * inter, k), {norm, squares, eps},           \
                                       {partials, arrived, span}, Swiglu<T>{out, inter});                                         \
  }                                                                                                                               \
  DVL_EXPORT(skinny_swiglu_m##M##_##suffix);
