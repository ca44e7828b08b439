// SPDX-License-Identifier: Apache-2.0
// Most likely token and its probability, in one pass over the vocabulary.
//
// Shape   logits [rows, vocab]; token, probability, row_max, row_sumexp [rows].
// Floor   the logits read once.
// Idea    one block a row; a thread keeps (max, argmax, sum of exp(l - max)) online, then lanes and warps merge theirs. At the argmax the
//         softmax is exactly 1 / sum.
// Ties    go to the lowest id, whatever the order of merging. NaN anywhere makes the sum, and so the probability, NaN.
#include "dvl.cuh"
#include "rows.cuh"

namespace {

constexpr int kThreads = 256;
constexpr int kWarps = kThreads / 32;
constexpr int kEach = 8;
constexpr int kNoToken = 0x7fffffff;

struct Best {
  float maximum;
  float sum;  // of exp(l - maximum)
  int token;
};

// exp(a - b) where a <= b; two infinities give 0: an empty part weighs nothing
__device__ __forceinline__ float scale_to(float a, float b) { return a == -INFINITY ? 0.f : expf(a - b); }

__device__ __forceinline__ Best merge(const Best& a, const Best& b) {
  const float maximum = max(a.maximum, b.maximum);
  const bool second = b.maximum > a.maximum || (b.maximum == a.maximum && b.token < a.token);
  return {maximum, a.sum * scale_to(a.maximum, maximum) + b.sum * scale_to(b.maximum, maximum), second ? b.token : a.token};
}

__device__ __forceinline__ Best warp_merge(Best best) {
#pragma unroll
  for (int offset = 16; offset > 0; offset /= 2) {
    const Best other = {dvl::shuffle_xor(best.maximum, offset), dvl::shuffle_xor(best.sum, offset),
                        dvl::shuffle_xor(best.token, offset)};
    best = merge(best, other);
  }
  return best;
}

template <class T>
__device__ __forceinline__ void confidence(const T* logits, int* token, float* probability, float* row_max, float* row_sumexp, int vocab,
                                           int excluded) {
  DVL_SHARED(Best[kWarps], partial);
  const T* row = logits + int64_t(blockIdx.x) * vocab;
  const bool wide = dvl::aligned16(row);
  Best best = {-INFINITY, 0.f, kNoToken};
  for (int i = int(threadIdx.x) * kEach; i < vocab; i += kThreads * kEach) {
    float l[kEach];
    dvl::load_piece(row + i, vocab - i, wide, l);
    float maximum = best.maximum;
#pragma unroll
    for (int k = 0; k < kEach; k++) {
      if (i + k >= vocab || i + k == excluded) l[k] = -INFINITY;
      if (l[k] > maximum) {
        maximum = l[k];
        best.token = i + k;
      }
    }
    float sum = best.sum * scale_to(best.maximum, maximum);
#pragma unroll
    for (int k = 0; k < kEach; k++) sum += scale_to(l[k], maximum);
    best.maximum = maximum;
    best.sum = sum;
  }
  best = warp_merge(best);
  if ((threadIdx.x & 31) == 0) partial[threadIdx.x >> 5] = best;
  __syncthreads();
  if (threadIdx.x == 0) {
#pragma unroll
    for (int w = 1; w < kWarps; w++) best = merge(best, partial[w]);
    // A row without a single finite logit has no distribution: NaN, which remasking reports.
    probability[blockIdx.x] = best.token == kNoToken ? NAN : 1.f / best.sum;
    token[blockIdx.x] = best.token == kNoToken ? 0 : best.token;
    row_max[blockIdx.x] = best.maximum;
    row_sumexp[blockIdx.x] = best.sum;
  }
}

}  // namespace

extern "C" __global__ void __launch_bounds__(kThreads) confidence_bf16(const bf16* logits, int* token, float* probability,
                                                                       float* row_max, float* row_sumexp, int vocab, int excluded) {
  confidence(logits, token, probability, row_max, row_sumexp, vocab, excluded);
}
DVL_EXPORT(confidence_bf16);

extern "C" __global__ void __launch_bounds__(kThreads) confidence_f32(const float* logits, int* token, float* probability,
                                                                      float* row_max, float* row_sumexp, int vocab, int excluded) {
  confidence(logits, token, probability, row_max, row_sumexp, vocab, excluded);
}
DVL_EXPORT(confidence_f32);
