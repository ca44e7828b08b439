// SPDX-License-Identifier: Apache-2.0
// h += x w^T for few rows (skinny.cuh), and the sums of squares that the next RMSNorm needs: the end of attention and of the MLP.
//
// Shape   x [rows, k], w [n, k], h [rows, n] in place, squares f32 [rows, ceil(n / 128)].
// Floor   w read once.
// Idea    a tile is a group of the norm, so a warp has a whole group of a row's new values at hand.
// Rounds  the product, then its sum with h, as the reference; the squares are those of the rounded sum.
#pragma once
#include "rounding.cuh"
#include "rows.cuh"
#include "skinny.cuh"

namespace {

template <class T>
struct AddToResidual {
  T* h;
  float* squares;
  int n;

  using Operands = dvl::Nothing;  // another block of the tile may write h
  __device__ __forceinline__ Operands ask(int, int) const { return {}; }

  __device__ __forceinline__ void operator()(int row, int tile, const float* columns, const Operands&) const {
    const int lane = int(threadIdx.x) % 32, column = tile * dvl::kTile + lane * 4;
    T* const to = h + int64_t(row) * n + column;
    const bool wide = n % 4 == 0;
    float sum[4], value[4];
    dvl::load<4>(columns + lane * 4, value);
    dvl::load_piece(to, n - column, wide, sum);
#pragma unroll
    for (int i = 0; i < 4; i++) sum[i] = column + i < n ? dvl::round_to<T>(sum[i] + dvl::round_to<T>(value[i])) : 0.f;
    dvl::store_piece(to, n - column, wide, sum);
    const float group = dvl::group_squares(sum);
    if (lane == 0) squares[int64_t(row) * ((n + dvl::kTile - 1) / dvl::kTile) + tile] = group;
  }
};
static_assert(dvl::kTile == dvl::kNormGroup, "a tile's squares are a group's");

}  // namespace

#define SKINNY_RESIDUAL(M, T, FORM, suffix)                                                                                           \
  extern "C" __global__ void __launch_bounds__(DVL_THREADS_##FORM, dvl::kSkinnyResident<M>)                                           \
      skinny_residual_m##M##_##suffix(const T* x, DVL_PARAMETERS_##FORM(T), T* h, float* squares, float* partials, unsigned* arrived, \
                                    int rows, int n, int k, int span) {                                                               \
    DVL_PRODUCT_##FORM<M, false, false>(dvl::product(x, DVL_WEIGHTS_##FORM(T), rows, n, k), {}, {partials, arrived, span},            \
                                         AddToResidual<T>{h, squares, n});                                                            \
  }                                                                                                                                   \
  DVL_EXPORT(skinny_residual_m##M##_##suffix);
