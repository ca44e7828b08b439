// SPDX-License-Identifier: Apache-2.0
// Gradient of the activations of bias_activation: dx = dy act'(x).
//
// Shape   x (what goes into the activation; the bias is in), dy, dx [n]; dx may be dy.
// Floor   x and dy read once, dx written once.
// Idea    elementwise, 4 elements per thread.
//         GELU by erf:  act' = P(x) + x p(x), with the normal distribution's P and density p.
//         GELU by tanh: with u = sqrt(2 / pi) (x + 0.044715 x^3) and t = tanh(u):
//                       act' = (1 + t) / 2 + x (1 - t^2) / 2 * sqrt(2 / pi) (1 + 3 * 0.044715 x^2).
// Rounds  once.
#include "dvl.cuh"
#include "rows.cuh"

namespace {

constexpr int kThreads = 256;
constexpr int kEach = 4;

enum Activation { kGeluErf = 1, kGeluTanh = 2 };  // as bias_activation has them

__device__ __forceinline__ float slope(float x, int activation) {
  if (activation == kGeluErf) {
    return 0.5f * (1.f + erff(x * 0.70710678118654752f)) + x * 0.39894228040143268f * expf(-0.5f * x * x);
  }
  const float t = tanhf(0.79788456080286536f * (x + 0.044715f * x * x * x));
  return 0.5f * (1.f + t) + 0.5f * x * (1.f - t * t) * 0.79788456080286536f * (1.f + 0.134145f * x * x);
}

template <class T>
__device__ __forceinline__ void activation_backward(const T* x, const T* dy, T* dx, int64_t n, int activation) {
  const int64_t at = (int64_t(blockIdx.x) * kThreads + threadIdx.x) * kEach;
  if (at >= n) return;
  const int count = n - at < kEach ? int(n - at) : kEach;
  const bool wide = dvl::aligned16(x) && dvl::aligned16(dy) && dvl::aligned16(dx);
  float value[kEach], gradient[kEach];
  dvl::load_piece(x + at, count, wide, value);
  dvl::load_piece(dy + at, count, wide, gradient);
#pragma unroll
  for (int i = 0; i < kEach; i++) gradient[i] *= slope(value[i], activation);
  dvl::store_piece(dx + at, count, wide, gradient);
}

}  // namespace

#define ACTIVATION_BACKWARD(T, suffix)                                                              \
  extern "C" __global__ void __launch_bounds__(kThreads)                                            \
      activation_backward_##suffix(const T* x, const T* dy, T* dx, int64_t n, int activation) {     \
    activation_backward(x, dy, dx, n, activation);                                                  \
  }                                                                                                 \
  DVL_EXPORT(activation_backward_##suffix)

ACTIVATION_BACKWARD(bf16, bf16);
ACTIVATION_BACKWARD(float, f32);
