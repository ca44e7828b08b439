// SPDX-License-Identifier: Apache-2.0
// Most likely token and its probability, in one pass over the vocabulary.
//
// Shape   logits [rows, vocab]; legal bits [rows, 32 ceil(vocab / 32)] or null; token, probability, row_max, row_sumexp [rows].
// Floor   the logits read once, and a bit per logit where some tokens are not legal.
// Idea    one block per row; (max, argmax, sum of exp(l - max)) online in the order of best.cuh, which the product with the head uses too:
//         the same bits either way. At the argmax the softmax is exactly 1 / sum. A warp has four tiles in flight.
// Ties    go to the lowest id, whatever the order of merging. NaN anywhere makes the sum, and so the probability, NaN.
#include "best.cuh"
#include "dvl.cuh"
#include "rows.cuh"

namespace {

constexpr int kThreads = 256;
constexpr int kWarps = kThreads / 32;

template <class T>
__device__ __forceinline__ void confidence(const T* logits, const dvl::Prediction& prediction, int vocab, int excluded,
                                           const unsigned* legal) {
  DVL_SHARED(dvl::Best[32], lanes);
  const T* row = logits + int64_t(blockIdx.x) * vocab;
  const bool wide = dvl::aligned16(row);
  const int warp = int(threadIdx.x) / 32, lane = int(threadIdx.x) % 32;
  const int tiles = (vocab + dvl::kBestTile - 1) / dvl::kBestTile;
  dvl::Best best[32 / kWarps];  // of the tiles warp + kWarps * i modulo 32
  for (int first = 0; first < tiles; first += 32) {
#pragma unroll
    for (int i = 0; i < 32 / kWarps; i++) {
      const int tile = first + warp + kWarps * i;
      if (tile < tiles) {
        const int id = tile * dvl::kBestTile + lane * 4;
        float logit[4];
        dvl::load_piece(row + id, vocab - id, wide, logit);
#pragma unroll
        for (int k = 0; k < 4; k++)
          if (id + k >= vocab || id + k == excluded) logit[k] = -INFINITY;
        if (legal != nullptr) dvl::keep_legal(logit, legal + blockIdx.x * dvl::legal_words(vocab), id, vocab);
        best[i] = dvl::merge(best[i], dvl::best_of_tile(logit, id));
      }
    }
  }
#pragma unroll
  for (int i = 0; i < 32 / kWarps; i++)
    if (lane == 0) lanes[warp + kWarps * i] = best[i];
  __syncthreads();
  if (warp == 0) {
    const dvl::Best all = dvl::best_of_lanes(lanes[lane]);
    if (lane == 0) prediction.set(blockIdx.x, all);
  }
}

}  // namespace

#define CONFIDENCE(T, suffix)                                                                                            \
  extern "C" __global__ void __launch_bounds__(kThreads)                                                                 \
      confidence_##suffix(const T* logits, int* token, float* probability, float* row_max, float* row_sumexp, int vocab, \
                          int excluded, const unsigned* legal) {                                                         \
    confidence(logits, {token, probability, row_max, row_sumexp}, vocab, excluded, legal);                               \
  }                                                                                                                      \
  DVL_EXPORT(confidence_##suffix)

CONFIDENCE(bf16, bf16);
CONFIDENCE(f16, f16);
CONFIDENCE(float, f32);
