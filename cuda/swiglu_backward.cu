// SPDX-License-Identifier: Apache-2.0
// Gradient of SwiGLU, out = silu(gate) up with silu(g) = g s and s = sigmoid(g):
//   dgate = dout up s (1 + g (1 - s)),   dup = dout silu(g).
//
// Shape   gate_up [rows, 2 * inter] (gate, then up; biases are in), dout [rows, inter], dgate_up as gate_up; may be gate_up itself.
// Floor   gate_up and dout read once, dgate_up written once.
// Idea    elementwise, 4 columns per thread.
// Rounds  once, when the gradients are stored.
#include "dvl.cuh"
#include "rows.cuh"

namespace {

constexpr int kThreads = 256;
constexpr int kEach = 4;

template <class T>
__device__ __forceinline__ void swiglu_backward(const T* gate_up, const T* dout, T* dgate_up, int inter) {
  const int column = (int(blockIdx.y) * kThreads + int(threadIdx.x)) * kEach;
  if (column >= inter) return;
  const int count = inter - column;
  const int64_t at = int64_t(blockIdx.x) * 2 * inter + column;
  const bool wide = inter % kEach == 0;
  float gate[kEach], up[kEach], grad[kEach];
  dvl::load_piece(gate_up + at, count, wide, gate);
  dvl::load_piece(gate_up + at + inter, count, wide, up);
  dvl::load_piece(dout + int64_t(blockIdx.x) * inter + column, count, wide, grad);
#pragma unroll
  for (int i = 0; i < kEach; i++) {
    const float sigmoid = 1.f / (1.f + expf(-gate[i]));
    const float slope = sigmoid * (1.f + gate[i] * (1.f - sigmoid));
    const float silu = gate[i] * sigmoid;
    gate[i] = grad[i] * up[i] * slope;
    up[i] = grad[i] * silu;
  }
  dvl::store_piece(dgate_up + at, count, wide, gate);
  dvl::store_piece(dgate_up + at + inter, count, wide, up);
}

}  // namespace

#define SWIGLU_BACKWARD(T, suffix)                                                              \
  extern "C" __global__ void __launch_bounds__(kThreads)                                        \
      swiglu_backward_##suffix(const T* gate_up, const T* dout, T* dgate_up, int rows, int inter) { \
    swiglu_backward(gate_up, dout, dgate_up, inter);                                            \
  }                                                                                             \
  DVL_EXPORT(swiglu_backward_##suffix)

SWIGLU_BACKWARD(bf16, bf16);
SWIGLU_BACKWARD(float, f32);
