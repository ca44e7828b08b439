// SPDX-License-Identifier: Apache-2.0
// How the rows of one forward pass are grouped, where they live in the KV cache and what they see.
#pragma once
#include "dvl.cuh"

// Row i of a segment sees a list of keys: the cache slots [context_begin, context_end), then what `own` says of the segment's own slots.
// Nothing else in a pass says who sees whom. The Java side mirrors this struct (32 bytes, little endian).
struct Segment {
  enum Own : int { kNone = 0, kSelf = 1, kCausal = 2 };  // a row sees none of its segment's slots, all, those up to its own

  int row;            // first row of the segment among the rows of the pass
  int rows;           // how many rows
  int position;       // row of the table of angles for the first row; row i takes position + i
  int slot;           // cache slot of the first row; row i owns slot + i
  int context_begin;  // first slot of the context
  int context_end;    // one past its last slot
  int own;            // an Own
  int reserved;       // 0

  // Length of row i's list. The list of a row of a causal segment begins with the list of the row before it.
  __device__ __forceinline__ int keys(int i) const {
    return context_end - context_begin + (own == kCausal ? i + 1 : own == kSelf ? rows : 0);
  }
  // Where key `index` of the list is.
  __device__ __forceinline__ int slot_of_key(int index) const {
    const int behind = index - (context_end - context_begin);
    return (behind < 0 ? context_end : slot) + behind;
  }
  // The first row that sees a slot of [begin, end); `rows` when none does. The rows behind it see that slot too.
  __device__ __forceinline__ int first_row_that_sees(int begin, int end) const {
    if (max(begin, context_begin) < min(end, context_end)) return 0;
    const int first = max(begin - slot, 0);
    if (own == kNone || first >= min(end - slot, rows)) return rows;
    return own == kCausal ? first : 0;
  }
};
static_assert(sizeof(Segment) == 32, "mirrored in Java");
