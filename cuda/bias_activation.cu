// SPDX-License-Identifier: Apache-2.0
// out = T(act(T(acc + bias))): the end of a linear layer, with or without GELU.
//
// Shape   acc f32 [rows, width], bias [width] or null, out [rows, width].
// Floor   acc read once, out written once.
// Idea    elementwise, 4 columns per thread.
// Rounds  the linear layer's output, then the activation.
#include "dvl.cuh"
#include "rows.cuh"

namespace {

constexpr int kThreads = 256;
constexpr int kEach = 4;

enum Activation { kNone = 0, kGeluErf = 1, kGeluTanh = 2 };

__device__ __forceinline__ float activate(float x, int activation) {
  if (activation == kGeluErf) return 0.5f * x * (1.f + erff(x * 0.70710678118654752f));
  if (activation == kGeluTanh) return 0.5f * x * (1.f + tanhf(0.79788456080286536f * (x + 0.044715f * x * x * x)));
  return x;
}

template <class T>
__device__ __forceinline__ void bias_activation(const float* acc, const T* bias, T* out, int width, int activation) {
  const int column = (int(blockIdx.y) * kThreads + int(threadIdx.x)) * kEach;
  if (column >= width) return;
  const int count = width - column;
  const int64_t at = int64_t(blockIdx.x) * width + column;
  const bool wide = width % kEach == 0;
  float value[kEach];
  dvl::load_piece(acc + at, count, wide, value);
  dvl::add_bias(bias, column, count, wide, value);
#pragma unroll
  for (int i = 0; i < kEach; i++) value[i] = activate(dvl::round_to<T>(value[i]), activation);
  dvl::store_piece(out + at, count, wide, value);
}

}  // namespace

#define BIAS_ACTIVATION(T, suffix)                                                                             \
  extern "C" __global__ void __launch_bounds__(kThreads)                                                       \
      bias_activation_##suffix(const float* acc, const T* bias, T* out, int rows, int width, int activation) { \
    bias_activation(acc, bias, out, width, activation);                                                        \
  }                                                                                                            \
  DVL_EXPORT(bias_activation_##suffix)

BIAS_ACTIVATION(bf16, bf16);
BIAS_ACTIVATION(f16, f16);
BIAS_ACTIVATION(float, f32);
