// SPDX-License-Identifier: Apache-2.0
// Block-masked attention over segments (docs/kernel-contract.md): prefill, denoising, fused store and vision windows are all the
// same kernel with other segments.
//
// Shape   q, out [rows, heads, D]; k, v [kv_heads, slots, D]; query head h reads kv head h / (heads / kv_heads). D = 128, 80 or 72.
// Floor   the visible K and V read once per kv head; this plain version reads them once per query row and head.
// Idea    one block = one query row and head. Per tile of 128 keys: a thread scores a key (dot product against q in shared memory), the
//         block agrees on maximum and sum (online softmax), then a thread owns an output dimension and adds up P * V.
// Rounds  P to T before P * V (the sum of P is not rounded), and the result once; all else is f32.
#include "dvl.cuh"
#include "rows.cuh"
#include "segment.cuh"

namespace {

constexpr int kThreads = 128;
constexpr int kTile = kThreads;
constexpr int kWarps = kThreads / 32;

// What a thread carries from tile to tile.
struct Online {
  float maximum = -INFINITY;
  float sum = 0.f;
  float out = 0.f;  // unnormalised, of the thread's own output dimension
};

// Folds the keys of slots [begin, end) into the running softmax.
template <int D, class T>
__device__ __forceinline__ void attend(Online& state, const T* k, const T* v, int begin, int end, float scale, const float (&query)[D],
                                       float (&weight)[kTile], float (&partial)[kWarps]) {
  const int thread = threadIdx.x;
  for (int tile = begin; tile < end; tile += kTile) {
    const int keys = min(kTile, end - tile);
    float score = -INFINITY;
    if (thread < keys) {
      const T* key = k + int64_t(tile + thread) * D;
      float dot = 0.f;
#pragma unroll
      for (int d = 0; d < D; d += 8) {
        float part[8];
        dvl::load<8>(key + d, part);
#pragma unroll
        for (int i = 0; i < 8; i++) dot += query[d + i] * part[i];
      }
      score = dot * scale;
    }
    const float maximum = max(state.maximum, dvl::block_max(score, partial));
    // A tile of -inf scores only: nothing to add, and no inf - inf.
    const float reference = maximum == -INFINITY ? 0.f : maximum;
    const float p = expf(score - reference);
    weight[thread] = dvl::round_to<T>(p);
    const float correction = expf(state.maximum - reference);
    state.sum = state.sum * correction + dvl::block_sum(p, partial);  // its barriers publish `weight`
    state.maximum = maximum;
    if (thread < D) {
      float out = state.out * correction;
      const T* value = v + int64_t(tile) * D + thread;
      for (int j = 0; j < keys; j++) out += weight[j] * dvl::to_float(value[j * D]);
      state.out = out;
    }
    __syncthreads();  // before the next tile overwrites `weight`
  }
}

template <int D, class T>
__device__ __forceinline__ void attention(const T* q, const T* k, const T* v, const Segment* segments, T* out, int heads, int kv_heads,
                                          int slots, float scale) {
  DVL_SHARED(float[D], query);
  DVL_SHARED(float[kTile], weight);
  DVL_SHARED(float[kWarps], partial);
  const Segment segment = segments[blockIdx.z];
  const int row = blockIdx.x, head = blockIdx.y, thread = threadIdx.x;
  if (row >= segment.rows) return;
  const int64_t at = (int64_t(segment.row + row) * heads + head) * D;
  const int64_t plane = int64_t(head / (heads / kv_heads)) * slots * D;
  if (thread < D) query[thread] = dvl::to_float(q[at + thread]);
  __syncthreads();

  Online state;
  attend<D>(state, k + plane, v + plane, segment.context_begin, segment.context_end, scale, query, weight, partial);
  for (int word = 0; word < 2; word++) {
    for (unsigned bits = word == 0 ? segment.visible_lo : segment.visible_hi; bits != 0; bits &= bits - 1) {
      const Segment& seen = segments[word * 32 + __ffs(int(bits)) - 1];
      attend<D>(state, k + plane, v + plane, seen.slot, seen.slot + seen.rows, scale, query, weight, partial);
    }
  }
  if (thread < D) out[at + thread] = dvl::from_float<T>(state.sum == 0.f ? 0.f : state.out / state.sum);
}

}  // namespace

#define ATTENTION(D, T, suffix)                                                                                                 \
  extern "C" __global__ void __launch_bounds__(kThreads)                                                                        \
      attention_d##D##_##suffix(const T* q, const T* k, const T* v, const Segment* segments, T* out, int heads, int kv_heads,   \
                                int slots, float scale) {                                                                       \
    attention<D>(q, k, v, segments, out, heads, kv_heads, slots, scale);                                                        \
  }                                                                                                                             \
  DVL_EXPORT(attention_d##D##_##suffix)

ATTENTION(128, bf16, bf16);
ATTENTION(128, float, f32);
ATTENTION(80, bf16, bf16);
ATTENTION(80, float, f32);
ATTENTION(72, bf16, bf16);
ATTENTION(72, float, f32);
