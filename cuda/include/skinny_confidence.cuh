// SPDX-License-Identifier: Apache-2.0
// Final RMSNorm, the product with the head and the most likely token of each row in one pass for few rows (skinny.cuh): the logits
// themselves are never written.
//
// Shape   h [rows, k] before the norm, squares f32 [rows, ceil(k / 128)] its sums of squares, norm [k], w [vocab, k]; legal bits
//         [rows, 32 ceil(vocab / 32)] or null; token, probability, row_max, row_sumexp [rows]. Scratch: parts [rows, ceil(vocab / 128)].
// Floor   w read once.
// Idea    a tile is a tile of best.cuh: its maximum, argmax and sum of exponentials go to parts, and the last block of the grid merges them
//         row by row.
// Rounds  the normalised value and its product with the norm's weight; the logits, as the reference does: rounding makes ties.
// Ties    go to the lowest id. NaN anywhere in a row makes its probability NaN.
#pragma once
#include "best.cuh"
#include "grid.cuh"
#include "skinny.cuh"

namespace {

static_assert(dvl::kTile == dvl::kBestTile, "a tile of the product is one of the vocabulary");

template <class T>
struct KeepBest {
  dvl::Best* parts;
  int vocab, excluded;
  const unsigned* legal;

  using Operands = dvl::Nothing;
  __device__ __forceinline__ Operands ask(int, int) const { return {}; }

  __device__ __forceinline__ void operator()(int row, int tile, const float* columns, const Operands&) const {
    const int lane = int(threadIdx.x) % 32, id = tile * dvl::kTile + lane * 4;
    float logit[4];
    dvl::load<4>(columns + lane * 4, logit);
#pragma unroll
    for (int i = 0; i < 4; i++) logit[i] = id + i >= vocab || id + i == excluded ? -INFINITY : dvl::round_to<T>(logit[i]);
    if (legal != nullptr) dvl::keep_legal(logit, legal + row * dvl::legal_words(vocab), id, vocab);
    const dvl::Best best = dvl::best_of_tile(logit, id);
    if (lane == 0) parts[int64_t(row) * ((vocab + dvl::kTile - 1) / dvl::kTile) + tile] = best;
  }
};

// By the last block: one warp per row.
__device__ __forceinline__ void merge_rows(const dvl::Best* parts, const dvl::Prediction& prediction, int rows, int vocab) {
  const int lane = int(threadIdx.x) % 32, tiles = (vocab + dvl::kTile - 1) / dvl::kTile;
  for (int row = int(threadIdx.x) / 32; row < rows; row += dvl::kSkinnyWarps) {
    dvl::Best best;
    for (int tile = lane; tile < tiles; tile += 32) {
      const float4 part = __ldcg(reinterpret_cast<const float4*>(parts + int64_t(row) * tiles + tile));
      dvl::Best of_tile;
      of_tile.maximum = part.x;
      of_tile.sum = part.y;
      of_tile.token = __float_as_int(part.z);
      best = dvl::merge(best, of_tile);
    }
    best = dvl::best_of_lanes(best);
    if (lane == 0) prediction.set(row, best);
  }
}

}  // namespace

#define SKINNY_CONFIDENCE(M, T, FORM, suffix)                                                                                 \
  extern "C" __global__ void __launch_bounds__(DVL_THREADS_##FORM, dvl::kSkinnyResident<M>)                                   \
      skinny_confidence_m##M##_##suffix(const T* h, const float* squares, const T* norm, float eps, DVL_PARAMETERS_##FORM(T), \
                                      dvl::Best* parts, int* token, float* probability, float* row_max, float* row_sumexp,    \
                                      float* partials, unsigned* arrived, int rows, int vocab, int k, int excluded, int span, \
                                      const unsigned* legal) {                                                                \
    DVL_PRODUCT_##FORM<M, false, true>(dvl::product(h, DVL_WEIGHTS_##FORM(T), rows, vocab, k), {norm, squares, eps},          \
                                        {partials, arrived, span}, KeepBest<T>{parts, vocab, excluded, legal});               \
    if (dvl::last_block(arrived + 2 * dvl::kMostSpans, gridDim.x))                                                            \
      merge_rows(parts, {token, probability, row_max, row_sumexp}, rows, vocab);                                              \
  }                                                                                                                           \
  DVL_EXPORT(skinny_confidence_m##M##_##suffix);
