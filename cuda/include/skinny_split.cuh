// SPDX-License-Identifier: Apache-2.0
// Who multiplies which units of a skinny product (skinny.cuh), and where blocks hand over their sums.
//
// Span    The units (tile, chunk) lie in one line, chunk after chunk of a tile, tile after tile, and are cut into spans of equal length.
//         What is added in which order depends on the spans, and they on the shape of w alone (SkinnySplit.java), never on the GPU.
// Tile    Spans that have a part of a tile leave the sums of it; the last block that comes adds them up, in the order of k.
// Share   What a block does: a span, where there is room for all of them at once. Where there is not, the grid has as many blocks as there
//         is room for, and the units are divided evenly. A span between two blocks is begun by one and continued by the other, from the
//         sums that the first had, so the bits are those of one block. Whoever of the two comes second continues: nobody waits.
#pragma once
#include "dvl.cuh"
#include "grid.cuh"
#include "skinny_weights.cuh"

namespace dvl {

constexpr int kMostSpans = 264;

// Where blocks that share a tile or a span meet.
struct SkinnySplit {
  float* partials;    // [spans][2][kTile * M]: of the span's first and last tile
  unsigned* arrived;  // zeros: [kMostSpans] at tiles, by the first span; [kMostSpans] at spans of two blocks; [1] of the whole grid
  int span;
};

// Where span s leaves its sums of a tile, or of what it has of it so far: it may begin in one shared tile and end in another.
template <int M>
__device__ __forceinline__ float* partial_of(const SkinnySplit& split, int s, int tile_begin, int m) {
  const int which = s * split.span < tile_begin ? 1 : 0;
  return split.partials + (int64_t(s * 2 + which) * (M / 8) + m) * (kTile * 8) + threadIdx.x * 4;
}

// What a block multiplies: a span, or, if `even`, the units [begin, end).
struct Share {
  bool even = false;
  bool takes = false, leaves = false;  // begin, end: within a span and within a tile, so that sums are handed on there
  bool resumes = false;                // what it takes is its own
  int begin = 0, end = 0;
};

// A block's way through its units: from its last span to its first, upwards within each. So the beginning of a span that the next block
// continues is done at once, and what the block before has begun comes last.
struct Walk {
  int s, tile = 0, chunk = 0;  // span, and the next unit
  int left = 0;                // units of the block in this span; 0: it is done

  __device__ __forceinline__ void enter(int span, int chunks, int begin, int stop) {
    const int unit = max(s * span, begin);
    tile = unit / chunks;
    chunk = unit - tile * chunks;
    left = max(stop - unit, 0);
  }

  __device__ __forceinline__ void advance(int span, int chunks, const Share& share) {
    if (++chunk == chunks) chunk = 0, tile++;
    if (--left > 0 || !share.even) return;
    s--;
    enter(span, chunks, share.begin, (s + 1) * span);
  }
};

// Adds up a tile that several spans have a part of, `sum` being that of span s. True in the block that has the whole sum; the others have
// handed theirs over. By all threads of the block; `multiplies` is false in those that have no sums.
template <int M, int AtOnce>
__device__ __forceinline__ bool combine_tile(const SkinnySplit& split, int s, int tile, int chunks, float (&sum)[M / 8][4],
                                             bool multiplies = true) {
  const int tile_begin = tile * chunks, tile_end = tile_begin + chunks;
  if (s * split.span <= tile_begin && tile_end <= (s + 1) * split.span) return true;
  const auto slot = [&](int of, int m) { return partial_of<M>(split, of, tile_begin, m); };
#pragma unroll
  for (int m = 0; m < M / 8; m++)
    if (multiplies) store<4>(slot(s, m), sum[m]);
  const int first = tile_begin / split.span, last = (tile_end - 1) / split.span;
  if (!last_block(split.arrived + first, unsigned(last - first + 1))) return false;
  if (!multiplies) return true;
  // Asked for together, so that they take one trip to the L2 cache, as far as registers go. Behind the first, they lie equally far apart.
  constexpr int64_t kApart = int64_t(2) * M * kTile;
  const auto load = [](const float* from) { return __ldcg(reinterpret_cast<const float4*>(from)); };
#pragma unroll
  for (int m = 0; m < M / 8; m++) {
    float4 part[AtOnce], sums = load(slot(first, m));
    const float* from = slot(first + 1, m);
    for (int left = last - first; left > 0; left -= AtOnce, from += AtOnce * kApart) {
#pragma unroll
      for (int i = 0; i < AtOnce; i++)
        if (i < left) part[i] = load(from + i * kApart);
#pragma unroll
      for (int i = 0; i < AtOnce; i++)
        if (i < left) sums.x += part[i].x, sums.y += part[i].y, sums.z += part[i].z, sums.w += part[i].w;
    }
    // -0 becomes 0, as in a sum that begins with 0; here, because nothing should wait for the first part alone.
    sum[m][0] = sums.x + 0.f, sum[m][1] = sums.y + 0.f, sum[m][2] = sums.z + 0.f, sum[m][3] = sums.w + 0.f;
  }
  return true;
}

// A span that two blocks share: the one leaves its sums, the other takes them. Whoever comes second goes on with the span.
__device__ __forceinline__ bool meet_in_span(const SkinnySplit& split, int s) { return last_block(split.arrived + kMostSpans + s, 2); }

template <int M>
__device__ __forceinline__ void leave_sums(const SkinnySplit& split, const Walk& at, int chunks, const float (&sum)[M / 8][4]) {
#pragma unroll
  for (int m = 0; m < M / 8; m++) store<4>(partial_of<M>(split, at.s, at.tile * chunks, m), sum[m]);
}

template <int M>
__device__ __forceinline__ void take_sums(const SkinnySplit& split, const Walk& at, int chunks, float (&sum)[M / 8][4]) {
#pragma unroll
  for (int m = 0; m < M / 8; m++) {
    const float4 left = __ldcg(reinterpret_cast<const float4*>(partial_of<M>(split, at.s, at.tile * chunks, m)));
    sum[m][0] = left.x, sum[m][1] = left.y, sum[m][2] = left.z, sum[m][3] = left.w;
  }
}

// The even share of a block.
__device__ __forceinline__ Share share_of_block(int span, int chunks, int units) {
  const int block = int(blockIdx.x), each = units / int(gridDim.x), more = units - each * int(gridDim.x);
  const int begin = block * each + min(block, more), end = begin + each + (block < more ? 1 : 0);
  const auto within = [&](int unit) { return unit % span != 0 && unit % chunks != 0; };
  return {true, within(begin), within(end), false, begin, end};
}

}  // namespace dvl
