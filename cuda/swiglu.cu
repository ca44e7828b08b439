// SPDX-License-Identifier: Apache-2.0
// SwiGLU: out = silu(gate) * up, from the stacked gate and up product.
//
// Shape   gate_up f32, or rounded already, [rows, 2 * inter] (gate, then up), bias [2 * inter] or null, out [rows, inter].
// Floor   the product read once, the result written once.
// Idea    elementwise, 4 columns per thread.
// Rounds  gate + bias, up + bias, silu(gate), and the product: four times, as the reference.
#include "dvl.cuh"
#include "rounding.cuh"

namespace {

constexpr int kThreads = 256;
constexpr int kEach = 4;

template <class A, class T>
__device__ __forceinline__ void swiglu(const A* gate_up, const T* bias, T* out, int inter) {
  const int column = (int(blockIdx.y) * kThreads + int(threadIdx.x)) * kEach;
  if (column >= inter) return;
  const int count = inter - column;
  const A* source = gate_up + int64_t(blockIdx.x) * 2 * inter + column;
  T* to = out + int64_t(blockIdx.x) * inter + column;
  const bool wide = inter % kEach == 0;
  float gate[kEach], up[kEach];
  dvl::load_piece(source, count, wide, gate);
  dvl::load_piece(source + inter, count, wide, up);
  dvl::add_bias(bias, column, count, wide, gate);
  dvl::add_bias(bias, inter + column, count, wide, up);
#pragma unroll
  for (int i = 0; i < kEach; i++) gate[i] = dvl::swiglu_of<T>(gate[i], up[i]);
  dvl::store_piece(to, count, wide, gate);
}

}  // namespace

#define SWIGLU(A, T, suffix)                                                          \
  extern "C" __global__ void __launch_bounds__(kThreads)                              \
      swiglu_##suffix(const A* gate_up, const T* bias, T* out, int rows, int inter) { \
    swiglu(gate_up, bias, out, inter);                                                \
  }                                                                                   \
  DVL_EXPORT(swiglu_##suffix)

SWIGLU(float, bf16, bf16);
SWIGLU(bf16, bf16, bf16_bf16);
SWIGLU(float, f16, f16);
SWIGLU(f16, f16, f16_f16);
SWIGLU(float, float, f32);
