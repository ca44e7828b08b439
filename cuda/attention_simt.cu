// SPDX-License-Identifier: Apache-2.0
// Block-masked attention over segments in f32, for fidelity tests (bf16: attention.cu).
//
// Shape   q, out [rows, heads, D]; k, v [kv_heads, slots, D]; query head h reads kv head h / (heads / kv_heads). D = 128, 80 or 72.
//         lse [rows, heads] or null: log of the sum of exp(score), for the way back.
// Floor   the visible K and V read once per kv head; this plain version reads them once per query row and head.
// Idea    one block = one query row and head. Per tile of 128 keys: a thread scores a key (dot product against q in shared memory), the
//         block agrees on maximum and sum (online softmax), then a thread owns an output dimension and adds up P * V.
// Rounds  nothing on the way; the result is f32.
#include "dvl.cuh"
#include "rows.cuh"
#include "segment.cuh"

namespace {

constexpr int kThreads = 128;
constexpr int kTile = kThreads;
constexpr int kWarps = kThreads / 32;

template <int D>
__device__ __forceinline__ void attend(const float* q, const float* k, const float* v, const Segment* segments, float* out, float* lse,
                                       int heads, int kv_heads, int slots, float scale) {
  DVL_SHARED(float[D], query);
  DVL_SHARED(float[kTile], weight);
  DVL_SHARED(int64_t[kTile], offset);  // of the tile's keys in k and v
  DVL_SHARED(float[kWarps], partial);
  const Segment segment = segments[blockIdx.z];
  const int row = blockIdx.x, head = blockIdx.y, thread = threadIdx.x;
  if (row >= segment.rows) return;
  const int64_t at = (int64_t(segment.row + row) * heads + head) * D;
  const int64_t plane = int64_t(head / (heads / kv_heads)) * slots * D;
  if (thread < D) query[thread] = q[at + thread];
  __syncthreads();

  const int length = segment.keys(row);
  float maximum = -INFINITY, sum = 0.f;
  float result = 0.f;  // unnormalised, of the thread's own dimension
  for (int first = 0; first < length; first += kTile) {
    const int keys = min(kTile, length - first);
    float score = -INFINITY;
    if (thread < keys) {
      offset[thread] = plane + int64_t(segment.slot_of_key(first + thread)) * D;
      const float* key = k + offset[thread];
      float dot = 0.f;
#pragma unroll
      for (int d = 0; d < D; d += 8) {
        float part[8];
        dvl::load<8>(key + d, part);
#pragma unroll
        for (int i = 0; i < 8; i++) dot += query[d + i] * part[i];
      }
      score = __fmul_rn(dot, scale);  // never joined with the subtraction of the highest
    }
    const float highest = max(maximum, dvl::block_max(score, partial));
    // A tile of -inf scores only: nothing to add, and no inf - inf.
    const float reference = highest == -INFINITY ? 0.f : highest;
    const float p = expf(score - reference);
    weight[thread] = p;
    const float correction = expf(maximum - reference);
    sum = sum * correction + dvl::block_sum(p, partial);  // its barriers publish `weight` and `offset`
    maximum = highest;
    if (thread < D) {
      result *= correction;
      for (int j = 0; j < keys; j++) result += weight[j] * v[offset[j] + thread];
    }
    __syncthreads();  // before the next tile overwrites `weight`
  }
  if (thread < D) out[at + thread] = sum == 0.f ? 0.f : result / sum;
  if (lse != nullptr && thread == 0) lse[int64_t(segment.row + row) * heads + head] = maximum + logf(sum);
}

}  // namespace

#define ATTENTION(D)                                                                                                         \
  extern "C" __global__ void __launch_bounds__(kThreads, 4)                                                                  \
      attention_d##D##_f32(const float* q, const float* k, const float* v, const Segment* segments, float* out, float* lse,  \
                           int heads, int kv_heads, int slots, float scale) {                                                \
    attend<D>(q, k, v, segments, out, lse, heads, kv_heads, slots, scale);                                                   \
  }                                                                                                                          \
  DVL_EXPORT(attention_d##D##_f32)

ATTENTION(128);
ATTENTION(80);
ATTENTION(72);
