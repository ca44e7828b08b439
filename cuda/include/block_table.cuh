// SPDX-License-Identifier: Apache-2.0
// The blocks that are being denoised, one per slot of a table, and which of them a pass decides. What differs between sequences is here
// and not among the arguments of a launch, so that one launch serves many. Mirrored in Java (Blocks).
#pragma once
#include "dvl.cuh"

// A slot begins with this. Behind it: step_of [rows], confidence f32 [rows], finished [rows], ids [variants, rows].
struct BlockSlot {
  // counted on the device
  int step;         // steps taken in this block
  int masked;       // masked rows left
  int nan;          // 1: a masked row's probability was NaN, nothing is committed from then on
  int forwards;     // passes so far without the one that met the NaN
  int open_drafts;  // drafts that leave something to predict
  // of the request
  int drafts;       // new drafts to make
  int dynamic;      // 1: the dynamic rule
  float threshold;  // of the dynamic rule
  int each;         // commits of a step
  int more;         // the first steps that commit one more
  int steps;        // a block may take one more
  int excluded;     // id that is never drawn, or -1
  float temperature;
  int top_k;        // 0: off
  float top_p;      // 1 or more: off
  unsigned seed_low, seed_high;
  int given;        // 1: drawn with numbers that are given, 0: with those of the counter generator
  int reserved[2];  // 0

  __device__ __forceinline__ int quota(int at) const { return each + (at < more ? 1 : 0); }
  __device__ __forceinline__ int* step_of() { return reinterpret_cast<int*>(this + 1); }
  __device__ __forceinline__ float* confidence(int rows) { return reinterpret_cast<float*>(step_of() + rows); }
  __device__ __forceinline__ int* ids(int rows) { return step_of() + 3 * int64_t(rows); }
};
static_assert(sizeof(BlockSlot) == 80, "mirrored in Java");

// A block that a pass decides.
struct BlockTask {
  int slot;
  int row;       // the first of its predictions
  int variants;  // the block and its drafts, `rows` predictions each
  int reserved;  // 0
};
static_assert(sizeof(BlockTask) == 16, "mirrored in Java");

__device__ __forceinline__ BlockSlot* block_slot(int* table, int stride, int slot) {
  return reinterpret_cast<BlockSlot*>(table + int64_t(slot) * stride);
}
