// SPDX-License-Identifier: Apache-2.0
// Weighted cross-entropy of rows of logits, and its gradient in their place:
//   loss = weight (log sum exp(logits) - logits[label]),   dlogits = weight (softmax(logits) - onehot(label)).
//
// Shape   logits [rows, vocab], label [rows], weight f32 [rows], loss f32 [rows].
// Floor   the logits read and written once; the second and third read hit the cache where a row fits.
// Idea    one block per row: the maximum, the sum, then the gradient over the logits. All sums in a fixed order.
// Rounds  the gradient, when it is stored; f32 everywhere else.
#include "dvl.cuh"
#include "rows.cuh"

namespace {

constexpr int kThreads = 512;
constexpr int kEach = 8;

template <class T>
__device__ __forceinline__ void cross_entropy(T* logits, const int* label, const float* weight, float* loss, int vocab) {
  DVL_SHARED(float[kThreads / 32], partial);
  T* row = logits + int64_t(blockIdx.x) * vocab;
  const int target = label[blockIdx.x];
  const float factor = weight[blockIdx.x];
  const bool wide = dvl::aligned16(row);
  float maximum = -INFINITY;
  for (int i = int(threadIdx.x) * kEach; i < vocab; i += kThreads * kEach) {
    float v[kEach];
    dvl::load_piece(row + i, vocab - i, wide, v);
#pragma unroll
    for (int k = 0; k < kEach; k++) maximum = i + k < vocab ? max(maximum, v[k]) : maximum;
  }
  maximum = dvl::block_max(maximum, partial);
  float sum = 0.f;
  for (int i = int(threadIdx.x) * kEach; i < vocab; i += kThreads * kEach) {
    float v[kEach];
    dvl::load_piece(row + i, vocab - i, wide, v);
#pragma unroll
    for (int k = 0; k < kEach; k++) sum += i + k < vocab ? expf(v[k] - maximum) : 0.f;
  }
  sum = dvl::block_sum(sum, partial);
  if (threadIdx.x == 0) loss[blockIdx.x] = factor * (logf(sum) + (maximum - dvl::to_float(row[target])));
  __syncthreads();  // the label's logit has been read
  const float inverse = 1.f / sum;
  for (int i = int(threadIdx.x) * kEach; i < vocab; i += kThreads * kEach) {
    float v[kEach];
    dvl::load_piece(row + i, vocab - i, wide, v);
#pragma unroll
    for (int k = 0; k < kEach; k++) v[k] = factor * (expf(v[k] - maximum) * inverse - (i + k == target ? 1.f : 0.f));
    dvl::store_piece(row + i, vocab - i, wide, v);
  }
}

}  // namespace

#define CROSS_ENTROPY(T, suffix)                                                                          \
  extern "C" __global__ void __launch_bounds__(kThreads)                                                  \
      cross_entropy_##suffix(T* logits, const int* label, const float* weight, float* loss, int vocab) {  \
    cross_entropy(logits, label, weight, loss, vocab);                                                    \
  }                                                                                                       \
  DVL_EXPORT(cross_entropy_##suffix)

CROSS_ENTROPY(bf16, bf16);
CROSS_ENTROPY(float, f32);
