// SPDX-License-Identifier: Apache-2.0
// Gradient of block-masked attention in f32, for fidelity tests and for the emulated device (bf16: attention_backward.cu).
//   p = exp(scale q k - lse),   delta = sum(dout out),   ds = scale p (dout v - delta):
//   dq = sum over keys of ds k,   dk = sum over queries of ds q,   dv = sum over queries of p dout.
//
// Shape   q, out, dout, dq [rows, heads, D]; k, v, dk, dv [kv_heads, slots, D]; lse, delta f32 [rows, heads]. D = 128, 80 or 72.
// Floor   everything read once, dq, dk, dv written once; this plain version reads keys once per sixteen query rows and the other way round.
// Idea    _q: a block has sixteen query rows of a segment (all heads of a kv head side by side), goes through their keys by sixteen, and
//         leaves dq and delta. _kv: a block has sixteen slots, goes through the rows of all segments that see them, and leaves dk and dv.
//         In both, a thread computes two of the 256 scores and their gradients, then owns a dimension. No atomics: sums run in the order of
//         keys, and of segments, rows and heads. The delta that _kv takes is the mean of dout v under the same p, so that a row's ds sum up
//         to nothing however p is rounded: the gradient of a key bias is such a sum.
// Rounds  nothing on the way; the result is f32.
#include "dvl.cuh"
#include "rows.cuh"
#include "segment.cuh"

namespace {

constexpr int kThreads = 128;
constexpr int kTile = 16;
constexpr int kPairs = kTile * kTile / kThreads;

// Rows of D floats in shared memory; row r is zero where offset(r) < 0.
template <int D, class Offset>
__device__ __forceinline__ void load_tile(float (&tile)[kTile * D], const float* from, Offset offset) {
  for (int item = threadIdx.x; item < kTile * D / 4; item += kThreads) {
    const int row = item / (D / 4), column = item % (D / 4) * 4;
    const int64_t source = offset(row);
    float value[4] = {};
    if (source >= 0) dvl::load<4>(from + source + column, value);
#pragma unroll
    for (int i = 0; i < 4; i++) tile[row * D + column + i] = value[i];
  }
}

// Σ a[i] b[i] of two rows
template <int D>
__device__ __forceinline__ float dot(const float* a, const float* b) {
  float sum = 0.f;
#pragma unroll 16
  for (int d = 0; d < D; d++) sum += a[d] * b[d];
  return sum;
}

// Query rows of a segment, the heads of a kv head side by side: packed row p is row p / group, head first_head + p % group.
struct Packed {
  const Segment& segment;
  int first, group, first_head, heads;  // first: packed row of the tile's first row

  __device__ __forceinline__ bool inside(int r) const { return first + r < segment.rows * group; }
  __device__ __forceinline__ int row(int r) const { return (first + r) / group; }
  // of the row and head in [rows, heads]; < 0 outside
  __device__ __forceinline__ int64_t at(int r) const {
    return inside(r) ? int64_t(segment.row + row(r)) * heads + first_head + (first + r) % group : -1;
  }
};

template <int D>
__device__ __forceinline__ void backward_q(const float* q, const float* k, const float* v, const Segment* segments, const float* out,
                                           const float* lse, const float* dout, float* dq, float* delta, int heads, int kv_heads,
                                           int slots, float scale) {
  DVL_SHARED_ALIGNED(16, float[kTile * D], query);
  DVL_SHARED_ALIGNED(16, float[kTile * D], gradient);
  DVL_SHARED_ALIGNED(16, float[kTile * D], key);
  DVL_SHARED_ALIGNED(16, float[kTile * D], value);
  DVL_SHARED(float[kTile * kTile], dscore);
  DVL_SHARED(float[kTile], row_lse);
  DVL_SHARED(float[kTile], row_delta);
  const Segment segment = segments[blockIdx.z];
  const int group = heads / kv_heads, thread = threadIdx.x;
  const Packed packed{segment, int(blockIdx.x) * kTile, group, int(blockIdx.y) * group, heads};
  if (!packed.inside(0)) return;
  const int64_t plane = int64_t(blockIdx.y) * slots * D;
  const auto row_at = [&](int r) { return packed.at(r) < 0 ? -1 : packed.at(r) * D; };
  load_tile<D>(query, q, row_at);
  load_tile<D>(gradient, dout, row_at);
  {  // eight threads per row
    const int64_t at = packed.at(thread / 8);
    float sum = 0.f;
    if (at >= 0) {
      for (int d = thread % 8; d < D; d += 8) sum += out[at * D + d] * dout[at * D + d];
    }
    sum = dvl::warp_sum<8>(sum);
    if (thread % 8 == 0) {
      row_delta[thread / 8] = sum;
      row_lse[thread / 8] = at < 0 ? 0.f : lse[at];
    }
  }
  int length = 0;  // of the longest list of the tile
  for (int r = 0; r < kTile; r++)
    if (packed.inside(r)) length = max(length, segment.keys(packed.row(r)));
  float result[kTile] = {}, weights[kPairs] = {}, products[kPairs] = {};
  for (int first = 0; first < length; first += kTile) {
    const auto key_at = [&](int c) { return first + c < length ? plane + int64_t(segment.slot_of_key(first + c)) * D : -1; };
    load_tile<D>(key, k, key_at);
    load_tile<D>(value, v, key_at);
    __syncthreads();
#pragma unroll
    for (int i = 0; i < kPairs; i++) {
      const int pair = thread + i * kThreads, r = pair / kTile, c = pair % kTile;
      float ds = 0.f;
      if (packed.inside(r) && first + c < segment.keys(packed.row(r))) {
        const float p = expf(dot<D>(query + r * D, key + c * D) * scale - row_lse[r]);
        const float dp = dot<D>(gradient + r * D, value + c * D);
        ds = scale * p * (dp - row_delta[r]);
        weights[i] += p;
        products[i] += p * dp;
      }
      dscore[pair] = ds;
    }
    __syncthreads();
    if (thread < D) {
#pragma unroll
      for (int r = 0; r < kTile; r++)
        for (int c = 0; c < kTile; c++) result[r] += dscore[r * kTile + c] * key[c * D + thread];
    }
    __syncthreads();  // before the next keys overwrite these
  }
#pragma unroll
  for (int i = 0; i < kPairs; i++) {  // sixteen threads a row
    const float weight = dvl::warp_sum<16>(weights[i]), product = dvl::warp_sum<16>(products[i]);
    const int64_t at = packed.at((thread + i * kThreads) / kTile);
    if (thread % kTile == 0 && at >= 0) delta[at] = weight > 0.f ? product / weight : 0.f;
  }
  if (thread < D) {
#pragma unroll
    for (int r = 0; r < kTile; r++)
      if (packed.inside(r)) dq[packed.at(r) * D + thread] = result[r];
  }
}

// Row i of the segment sees the slot.
__device__ __forceinline__ bool sees(const Segment& segment, int i, int slot) {
  if (slot >= segment.context_begin && slot < segment.context_end) return true;
  const int own = slot - segment.slot;
  return own >= 0 && own < segment.rows && (segment.own == Segment::kSelf || (segment.own == Segment::kCausal && own <= i));
}

template <int D>
__device__ __forceinline__ void backward_kv(const float* q, const float* k, const float* v, const Segment* segments, const float* lse,
                                            const float* dout, const float* delta, float* dk, float* dv, int count, int heads,
                                            int kv_heads, int slots, float scale) {
  DVL_SHARED_ALIGNED(16, float[kTile * D], query);
  DVL_SHARED_ALIGNED(16, float[kTile * D], gradient);
  DVL_SHARED_ALIGNED(16, float[kTile * D], key);
  DVL_SHARED_ALIGNED(16, float[kTile * D], value);
  DVL_SHARED(float[kTile * kTile], weight);
  DVL_SHARED(float[kTile * kTile], dscore);
  const int group = heads / kv_heads, thread = threadIdx.x, begin = int(blockIdx.x) * kTile, end = min(begin + kTile, slots);
  const int64_t plane = int64_t(blockIdx.y) * slots * D;
  const auto key_at = [&](int c) { return begin + c < end ? plane + int64_t(begin + c) * D : -1; };
  load_tile<D>(key, k, key_at);
  load_tile<D>(value, v, key_at);
  float key_sum[kTile] = {}, value_sum[kTile] = {};
  for (int s = 0; s < count; s++) {
    const Segment segment = segments[s];
    const bool context = begin < segment.context_end && end > segment.context_begin;
    const bool own = segment.own != Segment::kNone && begin < segment.slot + segment.rows && end > segment.slot;
    if (!context && !own) continue;
    for (int first = 0; first < segment.rows * group; first += kTile) {
      const Packed packed{segment, first, group, int(blockIdx.y) * group, heads};
      const auto row_at = [&](int r) { return packed.at(r) < 0 ? -1 : packed.at(r) * D; };
      load_tile<D>(query, q, row_at);
      load_tile<D>(gradient, dout, row_at);
      __syncthreads();
#pragma unroll
      for (int i = 0; i < kPairs; i++) {
        const int pair = thread + i * kThreads, r = pair / kTile, c = pair % kTile;
        float p = 0.f, ds = 0.f;
        if (packed.inside(r) && begin + c < end && sees(segment, packed.row(r), begin + c)) {
          p = expf(dot<D>(query + r * D, key + c * D) * scale - lse[packed.at(r)]);
          ds = scale * p * (dot<D>(gradient + r * D, value + c * D) - delta[packed.at(r)]);
        }
        weight[pair] = p;
        dscore[pair] = ds;
      }
      __syncthreads();
      if (thread < D) {
#pragma unroll
        for (int c = 0; c < kTile; c++) {
          for (int r = 0; r < kTile; r++) {
            key_sum[c] += dscore[r * kTile + c] * query[r * D + thread];
            value_sum[c] += weight[r * kTile + c] * gradient[r * D + thread];
          }
        }
      }
      __syncthreads();  // before the next rows overwrite these
    }
  }
  if (thread < D) {
#pragma unroll
    for (int c = 0; c < kTile; c++) {
      if (begin + c < end) {
        dk[plane + int64_t(begin + c) * D + thread] = key_sum[c];
        dv[plane + int64_t(begin + c) * D + thread] = value_sum[c];
      }
    }
  }
}

}  // namespace

#define ATTENTION_BACKWARD(D)                                                                                                     \
  extern "C" __global__ void __launch_bounds__(kThreads, 3)                                                                       \
      attention_backward_q_d##D##_f32(const float* q, const float* k, const float* v, const Segment* segments, const float* out,  \
                                      const float* lse, const float* dout, float* dq, float* delta, int heads, int kv_heads,      \
                                      int slots, float scale) {                                                                   \
    backward_q<D>(q, k, v, segments, out, lse, dout, dq, delta, heads, kv_heads, slots, scale);                                   \
  }                                                                                                                               \
  DVL_EXPORT(attention_backward_q_d##D##_f32);                                                                                    \
  extern "C" __global__ void __launch_bounds__(kThreads, 3)                                                                       \
      attention_backward_kv_d##D##_f32(const float* q, const float* k, const float* v, const Segment* segments, const float* lse, \
                                       const float* dout, const float* delta, float* dk, float* dv, int count, int heads,         \
                                       int kv_heads, int slots, float scale) {                                                    \
    backward_kv<D>(q, k, v, segments, lse, dout, delta, dk, dv, count, heads, kv_heads, slots, scale);                            \
  }                                                                                                                               \
  DVL_EXPORT(attention_backward_kv_d##D##_f32)

ATTENTION_BACKWARD(128);
ATTENTION_BACKWARD(80);
ATTENTION_BACKWARD(72);
