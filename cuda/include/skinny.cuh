// SPDX-License-Identifier: Apache-2.0
// Skinny matrix products: y[rows, n] = x[rows, k] w[n, k]^T for few rows, where reading w is all that costs.
//
// Idea    A tile is 128 rows of w, a chunk 64 of k. 8 warps multiply chunk after chunk: w as the A operand of m16n8k16 (16 rows of w per
//         warp, 8 rows of x per instruction, so 8 rows waste nothing), both operands through a ring of cp.async stages in shared memory,
//         16-byte pieces XOR-swizzled so that ldmatrix meets no bank twice. In which form w is stored is its type's affair
//         (skinny_weights.cuh): the rest is the same.
// Split   The units (tile, chunk) in one line, in spans of equal length ("stream-K", skinny_split.cuh): whatever the shape, all blocks read
//         the same amount. A tile of several spans is added up by the last block that comes to it, in the order of k.
// Bits    What is added in which order depends on n, k and span alone, so a row of x gives the same bits in every M and beside any
//         other rows. M > rows: the rest counts as zeros.
// After   A finished tile passes through shared memory to an epilogue, one warp per row of x: epilogue(row, tile, columns, operands),
//         columns = the 128 f32 sums of that row, operands = what epilogue.ask(row, tile) loaded, with 8 rows before the
//         blocks of the tile meet.
// Overlap The kernel before may still run (grid.cuh). What comes before the wait reads weights only, and as many of them as the memory
//         delivers meanwhile. The next kernel may start when a block has asked for its last weights: earlier, its weights would only
//         take the place of ours, and the memory would idle while blocks meet and epilogues run.
#pragma once
#include "dvl.cuh"
#include "grid.cuh"
#include "rounding.cuh"
#include "skinny_split.cuh"
#include "skinny_weights.cuh"

namespace dvl {

constexpr int kSkinnyWarps = kSkinnyThreads / 32;
constexpr int kColumnsPitch = kTile + 4;             // f32 [8][kColumnsPitch] between product and epilogue, free of bank conflicts

template <class T, class W = DenseWeights<T>>
struct Product {
  const T* x;  // [rows, k]
  W w;         // [n, k]
  int rows, n, k;
};

template <class T, class W>
__device__ __forceinline__ Product<T, W> product(const T* x, const W& w, int rows, int n, int k) {
  return {x, w, rows, n, k};
}

// Whether small things are loaded early: the norm's weights a chunk ahead, an epilogue's operands before the blocks of a tile meet. With
// more rows than warps there are no registers for that.
template <int M>
constexpr bool kEarly = M == kSkinnyWarps;

// RMSNorm of x on its way into the product; the sums of squares were left by the kernel that wrote x.
template <class T>
struct InputNorm {
  const T* weight;       // [k]
  const float* squares;  // [rows, groups of kNormGroup columns]
  float eps;
};

// What an epilogue asks for that needs sums only.
struct Nothing {};

// 1 / root mean square of x's rows from the sums of squares of their groups; `scale` is ready after the next barrier.
template <int M, class T>
__device__ __forceinline__ void row_scales(const InputNorm<T>& norm, int rows, int k, float (&scale)[M]) {
  const int warp = int(threadIdx.x) / 32, lane = int(threadIdx.x) % 32, groups = (k + kNormGroup - 1) / kNormGroup;
  for (int row = warp; row < M; row += kSkinnyWarps) {
    float squares = 0.f;
    for (int g = lane; row < rows && g < groups; g += 32) squares += norm.squares[int64_t(row) * groups + g];
    const float inverse = inverse_rms(squares, k, norm.eps);
    if (lane == 0) scale[row] = inverse;
  }
}

// Shared memory of a block, in bytes; the launchers know it too.
template <int M, class W>
struct SkinnyRing {
  static constexpr int kStages = W::template kStages<M>;
  static constexpr int kRows = W::kUnitBytes;  // the rows of x behind the weights
  static constexpr int kStageBytes = kRows + M * kChunk * 2;
  static constexpr int kColumns = kStages * kStageBytes;  // f32 [8][kColumnsPitch] behind the ring
};

// Blocks that a multiprocessor has room for, registers included. Of 228 KB: two of a grid, and a first one of the next. Of 164 KB or less
// it is fewer, and a grid may have to share its units out anew.
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 900 && __CUDA_ARCH__ < 1100
constexpr bool kShares = false;
template <int M>
constexpr int kSkinnyResident = M <= 16 ? 3 : 2;
#else
constexpr bool kShares = true;
template <int M>
constexpr int kSkinnyResident = M <= 16 ? 2 : 1;
#endif

// A thread's pieces of the rows of x in one chunk.
template <int M>
constexpr int kRowPieces = (M * 8 + kSkinnyThreads - 1) / kSkinnyThreads;

// Calls visit(i, row, piece, from) for a thread's pieces; `from` is null where x has none and zeros stand for it.
template <int M, class T, class W, class Visit>
__device__ __forceinline__ void each_piece(const Product<T, W>& p, int chunk, const Visit& visit) {
  const int piece = int(threadIdx.x) % 8, at = chunk * kChunk + piece * 8;
#pragma unroll
  for (int i = 0; i < kRowPieces<M>; i++) {
    const int row = i * (kSkinnyThreads / 8) + int(threadIdx.x) / 8;
    if (row < M) visit(i, row, piece, row < p.rows && at < p.k ? p.x + int64_t(row) * p.k + at : nullptr);
  }
}

template <int M, class T, class W>
__device__ __forceinline__ void fetch_rows(const Product<T, W>& p, unsigned char* x, int chunk) {
  each_piece<M>(p, chunk, [&](int, int row, int piece, const T* from) {
    cp_async16(piece_at(x, row, piece), from != nullptr ? from : p.x, from != nullptr);
  });
}

// Asks the L2 cache for weights that the ring has no room for yet, two lines per thread: while the kernel before ends, or attention runs,
// the memory has nothing else to do.
template <bool Paired, class T, class W>
__device__ __forceinline__ void prefetch_units(const Product<T, W>& p, int chunks, const Walk& from) {
#pragma unroll
  for (int line = int(threadIdx.x); line < 2 * kSkinnyThreads; line += kSkinnyThreads) {
    const int ahead = line / W::kUnitLines, unit = from.tile * chunks + from.chunk + ahead;
    if (ahead < from.left) p.w.template prefetch<Paired>(p.n, p.k, unit / chunks, unit % chunks, line % W::kUnitLines);
  }
}

// The norm's weights for a thread's pieces of a chunk; no kernel writes them.
template <class T>
using NormPiece = detail::Cast<T, 16>;
template <class T>
__device__ __forceinline__ void fetch_norm(const InputNorm<T>& norm, int chunk, int k, NormPiece<T>& weight) {
  const int at = chunk * kChunk + int(threadIdx.x) % 8 * 8;
  if (at < k) weight.word = *reinterpret_cast<const uint4*>(norm.weight + at);
}

// RMSNorm in place, each thread of the pieces that it fetched itself. Rounds twice, as rms_norm does.
template <int M, class T, class W>
__device__ __forceinline__ void normalise_unit(const Product<T, W>& p, unsigned char* x, int chunk, const NormPiece<T>& weight,
                                               const float (&scale)[M]) {
  each_piece<M>(p, chunk, [&](int, int row, int piece, const T* from) {
    if (from == nullptr) return;
    T* const own = reinterpret_cast<T*>(piece_at(x, row, piece));
    float value[8];
    load<8>(own, value);
#pragma unroll
    for (int i = 0; i < 8; i++) value[i] = normalised<T>(value[i], scale[row], to_float(weight.element[i]));
    store<8>(own, value);
  });
}

// Hands the sums to the epilogue, 8 rows of x at a time.
template <int M, class Epilogue>
__device__ __forceinline__ void finish_tile(const float (&sum)[M / 8][4], float* columns, int rows, int tile, const Epilogue& epilogue,
                                            typename Epilogue::Operands operands, bool multiplies = true) {
  const int warp = int(threadIdx.x) / 32, lane = int(threadIdx.x) % 32;
#pragma unroll
  for (int m = 0; m < M / 8; m++) {
    if (m * 8 < rows) {
      __syncthreads();
      float* const to = columns + lane % 4 * 2 * kColumnsPitch + warp * 16 + lane / 4;
      if (multiplies) {
        to[0] = sum[m][0], to[kColumnsPitch] = sum[m][1];
        to[8] = sum[m][2], to[kColumnsPitch + 8] = sum[m][3];
      }
      __syncthreads();
      if (multiplies && m * 8 + warp < rows) {
        if constexpr (!kEarly<M>) operands = epilogue.ask(m * 8 + warp, tile);
        epilogue(m * 8 + warp, tile, columns + warp * kColumnsPitch, operands);
      }
    }
  }
}

// Multiplies the units of a block from `at` on. True if what its share has left of a span is its own to continue.
template <int M, bool Paired, bool Normed, class T, class W, class Epilogue>
__device__ __forceinline__ bool multiply_units(const Product<T, W>& p, const InputNorm<T>& norm, const SkinnySplit& split,
                                               const Epilogue& epilogue, int chunks, Walk at, const Share& share) {
  using Ring = SkinnyRing<M, W>;
  DVL_DYN_SHARED(memory);
  DVL_SHARED(float[M], scale);

  constexpr int kAhead = Ring::kStages - 1;
  Walk next = at;
  const auto fetch_next = [&](int stage, bool rows) {
    if (next.left > 0) {
      unsigned char* const to = memory + stage * Ring::kStageBytes;
      p.w.template fetch<Paired>(to, p.n, p.k, next.tile, next.chunk);
      if (rows) fetch_rows<M>(p, to + Ring::kRows, next.chunk);
      next.advance(split.span, chunks, share);
      if (rows && next.left == 0) let_next_grid_start();
    }
    cp_async_commit();
  };
#pragma unroll
  for (int s = 0; s < kAhead; s++) fetch_next(s, false);
  prefetch_units<Paired>(p, chunks, next);
  NormPiece<T> weight;
  if constexpr (Normed && kEarly<M>) fetch_norm(norm, at.chunk, p.k, weight);
  wait_for_previous_grid();
  // Rows of x and their squares are asked for before any of them is needed.
  uint4 first[kAhead][kRowPieces<M>];
  Walk ahead = at;
#pragma unroll
  for (int s = 0; s < kAhead; s++) {
    each_piece<M>(p, ahead.chunk, [&](int i, int, int, const T* from) {
      first[s][i] = make_uint4(0, 0, 0, 0);
      if (from != nullptr && ahead.left > 0) first[s][i] = *reinterpret_cast<const uint4*>(from);
    });
    if (ahead.left > 0) ahead.advance(split.span, chunks, share);
  }
  if constexpr (Normed) row_scales<M>(norm, p.rows, p.k, scale);
#pragma unroll
  for (int s = 0; s < kAhead; s++)
    each_piece<M>(p, 0, [&](int i, int row, int piece, const T*) {
      *reinterpret_cast<uint4*>(piece_at(memory + s * Ring::kStageBytes + Ring::kRows, row, piece)) = first[s][i];
    });
  if constexpr (Normed) __syncthreads();  // the scales
  if (next.left == 0) let_next_grid_start();

  float sum[M / 8][4] = {};
  if (share.resumes) take_sums<M>(split, at, chunks, sum);
  int stage = 0;
  bool rest = false;
  while (at.left > 0) {
    unsigned char* const stage_at = memory + stage * Ring::kStageBytes;
    cp_async_wait<Ring::kStages - 2>();
    if constexpr (Normed && !kEarly<M>) fetch_norm(norm, at.chunk, p.k, weight);
    if constexpr (Normed) normalise_unit<M>(p, stage_at + Ring::kRows, at.chunk, weight, scale);
    __syncthreads();
    fetch_next(stage == 0 ? kAhead : stage - 1, true);  // into the stage that everyone left before this barrier
    if constexpr (Normed && kEarly<M>) fetch_norm(norm, at.chunk + 1 == chunks ? 0 : at.chunk + 1, p.k, weight);
    p.w.template multiply<M>(stage_at, stage_at + Ring::kRows, sum);
    stage = stage == kAhead ? 0 : stage + 1;
    const bool end_of_span = at.left == 1;
    if (end_of_span || at.chunk + 1 == chunks) {
      if (share.leaves && at.tile * chunks + at.chunk + 1 == share.end) {
        leave_sums<M>(split, at, chunks, sum);
        rest = meet_in_span(split, at.s);
      } else {
        typename Epilogue::Operands operands{};
        if (kEarly<M> && int(threadIdx.x) / 32 < p.rows) operands = epilogue.ask(int(threadIdx.x) / 32, at.tile);
        if (combine_tile<M, W::template kPartsAtOnce<M>>(split, at.s, at.tile, chunks, sum))
          finish_tile<M>(sum, reinterpret_cast<float*>(memory + Ring::kColumns), p.rows, at.tile, epilogue, operands);
      }
#pragma unroll
      for (int m = 0; m < M / 8; m++) sum[m][0] = sum[m][1] = sum[m][2] = sum[m][3] = 0.f;
    }
    at.advance(split.span, chunks, share);
    if (share.even && end_of_span && at.left > 0) {
      if constexpr (Normed && kEarly<M>) fetch_norm(norm, at.chunk, p.k, weight);
      if (share.takes && at.s * split.span < share.begin) {
        if (meet_in_span(split, at.s)) take_sums<M>(split, at, chunks, sum);
        else at.left = 0, cp_async_wait<0>();
      }
    }
  }
  return rest;
}

template <int M, bool Paired, bool Normed, class T, class W, class Epilogue>
__device__ __forceinline__ void skinny_product(const Product<T, W>& p, const InputNorm<T>& norm, const SkinnySplit& split,
                                               const Epilogue& epilogue) {
  const int chunks = (p.k + kChunk - 1) / kChunk, units = tiles_of<Paired>(p.n) * chunks, span = split.span;
  Share share;
  Walk at{int(blockIdx.x)};
  if (kShares && int(gridDim.x) * span < units) {
    share = share_of_block(span, chunks, units);
    at.s = (share.end - 1) / span;
    at.enter(span, chunks, share.begin, share.end);
  } else {
    at.enter(span, chunks, 0, min((at.s + 1) * span, units));
  }
#pragma unroll 1
  while (multiply_units<M, Paired, Normed>(p, norm, split, epilogue, chunks, at, share)) {
    at.s = share.end / span;
    share = {true, true, false, true, share.end, min((at.s + 1) * span, units)};
    at.enter(span, chunks, share.begin, share.end);
    __syncthreads();  // the ring is filled anew
  }
}

}  // namespace dvl
