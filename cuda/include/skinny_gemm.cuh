// SPDX-License-Identifier: Apache-2.0
// y = x w^T for few rows (skinny.cuh), with nothing fused to it.
//
// Shape   x [rows, k], w [n, k], k a multiple of 8; y [rows, n] f32 sums (acc) or rounded to T (y); exactly one of the two is not null.
// Floor   w read once.
// Rounds  y once; acc not at all.
#pragma once
#include "rows.cuh"
#include "skinny.cuh"

namespace {

template <class T>
struct Store {
  float* acc;
  T* y;
  int n;

  using Operands = dvl::Nothing;
  __device__ __forceinline__ Operands ask(int, int) const { return {}; }

  __device__ __forceinline__ void operator()(int row, int tile, const float* columns, const Operands&) const {
    const int lane = int(threadIdx.x) % 32, column = tile * dvl::kTile + lane * 4;
    if (column >= n) return;
    const int64_t at = int64_t(row) * n + column;
    const bool wide = n % 4 == 0 && dvl::aligned16(acc != nullptr ? static_cast<const void*>(acc) : y);
    float value[4];
    dvl::load<4>(columns + lane * 4, value);
    if (acc != nullptr) dvl::store_piece(acc + at, n - column, wide, value);
    else dvl::store_piece(y + at, n - column, wide, value);
  }
};

}  // namespace

#define SKINNY_GEMM(M, T, FORM, suffix)                                                                                                 \
  extern "C" __global__ void __launch_bounds__(DVL_THREADS_##FORM, dvl::kSkinnyResident<M>)                                             \
      skinny_gemm_m##M##_##suffix(const T* x, DVL_PARAMETERS_##FORM(T), float* acc, T* y, float* partials, unsigned* arrived, int rows, \
                                int n, int k, int span) {                                                                               \
    DVL_PRODUCT_##FORM<M, false, false>(dvl::product(x, DVL_WEIGHTS_##FORM(T), rows, n, k), {}, {partials, arrived, span},              \
                                         Store<T>{acc, y, n});                                                                          \
  }                                                                                                                                     \
  DVL_EXPORT(skinny_gemm_m##M##_##suffix);
