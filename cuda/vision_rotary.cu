// SPDX-License-Identifier: Apache-2.0
// Bias and 2-D rotary embedding of a vision tower, and the split of its QKV product. A tower without rotary embedding gives no cos and sin.
//
// Shape   qkv f32 [rows, 3, heads, D], bias [3 * heads * D], cos and sin f32 [rows, D / 2] or null; q [rows, heads, D], k and v [heads,
//         rows, D].
// Floor   the product read once, q, k and v written once.
// Idea    as rope_kv_append: one block per row, a thread owns a rotary pair; k and v are laid out as the attention kernel's cache.
// Rounds  acc + bias to T; the rotation is f32 throughout (the reference casts q and k up) and rounds once.
#include "dvl.cuh"
#include "rounding.cuh"

namespace {

constexpr int kThreads = 128;

template <class T>
__device__ __forceinline__ void vision_rotary(const float* qkv, const T* bias, const float* cos, const float* sin, T* q, T* k, T* v,
                                              int rows, int heads, int head_dim) {
  const int half = head_dim / 2;
  const int64_t row = blockIdx.x;
  const float* source = qkv + row * 3 * heads * head_dim;
  const bool rotate = cos != nullptr;
  const float* c_row = rotate ? cos + row * half : nullptr;
  const float* s_row = rotate ? sin + row * half : nullptr;
  for (int pair = threadIdx.x; pair < 3 * heads * half; pair += kThreads) {
    const int part = pair / (heads * half), head = pair / half % heads, j = pair % half;
    const int column = (part * heads + head) * head_dim + j;
    float a, b;
    dvl::load_pair(source, bias, column, half, a, b);
    if (rotate && part < 2) {
      const float c = c_row[j], s = s_row[j];
      const float x = __fmul_rn(a, c) - __fmul_rn(b, s);
      const float y = __fmul_rn(b, c) + __fmul_rn(a, s);
      a = x;
      b = y;
    }
    T* to = part == 0 ? q + (row * heads + head) * head_dim : (part == 1 ? k : v) + (int64_t(head) * rows + row) * head_dim;
    to[j] = dvl::from_float<T>(a);
    to[j + half] = dvl::from_float<T>(b);
  }
}

}  // namespace

#define VISION_ROTARY(T, suffix)                                                                                              \
  extern "C" __global__ void __launch_bounds__(kThreads)                                                                      \
      vision_rotary_##suffix(const float* qkv, const T* bias, const float* cos, const float* sin, T* q, T* k, T* v, int rows, \
                             int heads, int head_dim) {                                                                       \
    vision_rotary(qkv, bias, cos, sin, q, k, v, rows, heads, head_dim);                                                       \
  }                                                                                                                           \
  DVL_EXPORT(vision_rotary_##suffix)

VISION_ROTARY(bf16, bf16);
VISION_ROTARY(f16, f16);
VISION_ROTARY(float, f32);
