// SPDX-License-Identifier: Apache-2.0
// The most likely token of a row of logits and its softmax, part by part, in one fixed order, the same in every kernel: tiles of 128 ids,
// 4 a lane; then tile t goes to the lane t mod 32 of the row's warp; then the lanes.
#pragma once
#include "dvl.cuh"

namespace dvl {

constexpr int kBestTile = 128;
constexpr int kNoToken = 0x7fffffff;

struct alignas(16) Best {
  float maximum = -INFINITY;
  float sum = 0.f;       // of exp(l - maximum)
  int token = kNoToken;  // lowest id that has the maximum
  int unused = 0;
};
static_assert(sizeof(Best) == 16, "moves as one word");

// exp(a - b) where a <= b; two infinities give 0: an empty part weighs nothing
__device__ __forceinline__ float scale_to(float a, float b) { return a == -INFINITY ? 0.f : expf(a - b); }

__device__ __forceinline__ Best merge(const Best& a, const Best& b) {
  Best both;
  both.maximum = max(a.maximum, b.maximum);
  both.sum = __fmaf_rn(a.sum, scale_to(a.maximum, both.maximum), __fmul_rn(b.sum, scale_to(b.maximum, both.maximum)));
  both.token = b.maximum > a.maximum || (b.maximum == a.maximum && b.token < a.token) ? b.token : a.token;
  return both;
}

// Of a tile: the lane has the logits of ids first to first + 3, -inf for what does not count. All lanes get it. A NaN makes the sum NaN.
__device__ __forceinline__ Best best_of_tile(const float (&logit)[4], int first) {
  Best best;
#pragma unroll
  for (int i = 0; i < 4; i++) {
    if (logit[i] > best.maximum) {
      best.maximum = logit[i];
      best.token = first + i;
    }
  }
  const float own = best.maximum;
  best.maximum = warp_max(own);
  best.token = warp_min(own == best.maximum ? best.token : kNoToken);
#pragma unroll
  // __fadd_rn: never joined with the last product of expf
  for (int i = 0; i < 4; i++) best.sum = __fadd_rn(best.sum, scale_to(logit[i], best.maximum));
  best.sum = warp_sum(best.sum);
  return best;
}

// Words of a row's set of tokens, a bit per id.
__device__ __forceinline__ int64_t legal_words(int vocab) { return (vocab + 31) / 32; }

// Of the logits of ids first to first + 3, those whose bit is not set count as -inf. `first` is a multiple of 4.
__device__ __forceinline__ void keep_legal(float (&logit)[4], const unsigned* legal, int first, int vocab) {
  const unsigned bits = first < vocab ? legal[first / 32] >> (first % 32) : 0u;
#pragma unroll
  for (int k = 0; k < 4; k++)
    if ((bits >> k & 1u) == 0) logit[k] = -INFINITY;
}

// Of a row, from what each lane of the warp has; valid in lane 0.
__device__ __forceinline__ Best best_of_lanes(Best best) {
#pragma unroll
  for (int offset = 16; offset > 0; offset /= 2) {
    Best other;
    other.maximum = shuffle_xor(best.maximum, offset);
    other.sum = shuffle_xor(best.sum, offset);
    other.token = shuffle_xor(best.token, offset);
    best = merge(best, other);
  }
  return best;
}

// Where the result of each row goes.
struct Prediction {
  int* token;
  float* probability;  // 1 / sum: exactly the softmax at the argmax
  float* row_max;
  float* row_sumexp;

  // A row without a single finite logit has no distribution: NaN, which remasking reports.
  __device__ __forceinline__ void set(int row, const Best& best) const {
    probability[row] = best.token == kNoToken ? NAN : 1.f / best.sum;
    token[row] = best.token == kNoToken ? 0 : best.token;
    row_max[row] = best.maximum;
    row_sumexp[row] = best.sum;
  }
};

}  // namespace dvl
