// SPDX-License-Identifier: Apache-2.0
// How the rows of one forward pass are grouped, where they live in the KV cache and what they see.
#pragma once

// Every row of a segment sees the cache slots [context_begin, context_end) and then, for each set bit t (ascending) of the
// visibility mask, the slots of segment t of the same pass. The Java side mirrors this struct (32 bytes, little endian).
struct Segment {
  int row;            // first row of the segment among the rows of the pass
  int rows;           // how many rows
  int position;       // absolute position of the first row
  int slot;           // cache slot of the first row; row i owns slot + i
  int context_begin;  // first visible slot of the contiguous part
  int context_end;    // one past its last visible slot
  unsigned visible_lo;
  unsigned visible_hi;
};
static_assert(sizeof(Segment) == 32, "mirrored in Java");
