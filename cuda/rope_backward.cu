// SPDX-License-Identifier: Apache-2.0
// Gradient of rope_kv_append, and of vision_rotary: the rotation turned back, and queries, keys and values side by side again.
//
// Shape   dq [rows, heads, D], dk and dv [kv_heads, slots, D], cos and sin f32 [positions, D / 2] or null (no rotation);
//         dqkv [rows, (heads + 2 kv_heads) * D] (all q, then k, then v).
// Floor   dq, dk, dv read once, dqkv written once.
// Idea    one block per row of a segment; a thread owns the pair (i, i + D/2) of a head, as on the way forward.
// Rounds  once, when the gradient is stored.
#include "dvl.cuh"
#include "segment.cuh"

namespace {

constexpr int kThreads = 128;

template <class T>
__device__ __forceinline__ void rope_backward(const T* dq, const T* dk, const T* dv, const float* cos, const float* sin,
                                              const Segment* segments, T* dqkv, int heads, int kv_heads, int head_dim, int slots) {
  const Segment segment = segments[blockIdx.y];
  const int i = blockIdx.x;
  if (i >= segment.rows) return;
  const int half = head_dim / 2;
  const int all_heads = heads + 2 * kv_heads;
  const int64_t row = segment.row + i;
  const int64_t slot = segment.slot + i;
  const int64_t angle = int64_t(segment.position + i) * half;
  T* to = dqkv + row * all_heads * head_dim;
  for (int pair = threadIdx.x; pair < all_heads * half; pair += kThreads) {
    const int head = pair / half, j = pair % half;
    const T* from;
    if (head < heads) {
      from = dq + (row * heads + head) * head_dim;
    } else if (head < heads + kv_heads) {
      from = dk + (int64_t(head - heads) * slots + slot) * head_dim;
    } else {
      from = dv + (int64_t(head - heads - kv_heads) * slots + slot) * head_dim;
    }
    float a = dvl::to_float(from[j]), b = dvl::to_float(from[j + half]);
    if (cos != nullptr && head < heads + kv_heads) {
      const float c = cos[angle + j], s = sin[angle + j];
      const float x = a * c + b * s;
      b = b * c - a * s;
      a = x;
    }
    to[head * head_dim + j] = dvl::from_float<T>(a);
    to[head * head_dim + j + half] = dvl::from_float<T>(b);
  }
}

}  // namespace

#define ROPE_BACKWARD(T, suffix)                                                                                              \
  extern "C" __global__ void __launch_bounds__(kThreads)                                                                      \
      rope_backward_##suffix(const T* dq, const T* dk, const T* dv, const float* cos, const float* sin, const Segment* segments, \
                             T* dqkv, int heads, int kv_heads, int head_dim, int slots) {                                     \
    rope_backward(dq, dk, dv, cos, sin, segments, dqkv, heads, kv_heads, head_dim, slots);                                    \
  }                                                                                                                           \
  DVL_EXPORT(rope_backward_##suffix)

ROPE_BACKWARD(bf16, bf16);
ROPE_BACKWARD(float, f32);
