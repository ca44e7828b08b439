// SPDX-License-Identifier: Apache-2.0
// One step of AdamW for one tensor. With g = grad * clip:
//   m = b1 m + (1 - b1) g,   v = b2 v + (1 - b2) g^2,   w = w - rate decay w - rate (m / c1) / (sqrt(v / c2) + eps).
//
// Shape   master, m, v, grad f32 [n]; weight [n], the rounded copy that the model computes with (f32: master itself may be given);
//         clip f32 [1]: a factor of all gradients of the step, in device memory because the device has just computed it.
// Floor   grad, m, v, master read once, m, v, master, weight written once.
// Idea    elementwise, 4 elements per thread.
// Rounds  the weight; the state is f32.
#include "adamw.cuh"
#include "rows.cuh"

namespace {

constexpr int kThreads = 256;
constexpr int kEach = 4;

template <class T>
__device__ __forceinline__ void adamw(float* master, T* weight, float* m, float* v, const float* grad, const float* clip, int64_t n,
                                      const dvl::AdamwStep& step) {
  const int64_t at = (int64_t(blockIdx.x) * kThreads + threadIdx.x) * kEach;
  if (at >= n) return;
  const int count = n - at < kEach ? int(n - at) : kEach;
  const bool wide = dvl::aligned16(master) && dvl::aligned16(weight) && dvl::aligned16(m) && dvl::aligned16(v) && dvl::aligned16(grad);
  const float factor = *clip;
  float w[kEach], first[kEach], second[kEach], g[kEach];
  dvl::load_piece(master + at, count, wide, w);
  dvl::load_piece(m + at, count, wide, first);
  dvl::load_piece(v + at, count, wide, second);
  dvl::load_piece(grad + at, count, wide, g);
#pragma unroll
  for (int i = 0; i < kEach; i++) step.update(g[i] * factor, w[i], first[i], second[i]);
  dvl::store_piece(m + at, count, wide, first);
  dvl::store_piece(v + at, count, wide, second);
  dvl::store_piece(master + at, count, wide, w);
  dvl::store_piece(weight + at, count, wide, w);
}

}  // namespace

#define ADAMW(T, suffix)                                                                                                       \
  extern "C" __global__ void __launch_bounds__(kThreads)                                                                       \
      adamw_##suffix(float* master, T* weight, float* m, float* v, const float* grad, const float* clip, int64_t n, float rate, \
                     float b1, float b2, float eps, float decay, float c1, float c2) {                                         \
    adamw(master, weight, m, v, grad, clip, n, {rate, b1, b2, eps, decay, c1, c2});                                              \
  }                                                                                                                            \
  DVL_EXPORT(adamw_##suffix)

ADAMW(bf16, bf16);
ADAMW(float, f32);
