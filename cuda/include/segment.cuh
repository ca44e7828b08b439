// SPDX-License-Identifier: Apache-2.0
// How the rows of one forward pass are grouped, where they live in the KV cache and what they see.
#pragma once
#include "dvl.cuh"

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

namespace dvl {

// The keys that a segment sees, as one list: the context, then the visible segments. Indices are asked for in ascending order.
class KeyList {
 public:
  __device__ __forceinline__ KeyList(const Segment* segments, const Segment& own)
      : segments_(segments), end_(own.context_end - own.context_begin), shift_(own.context_begin) {
    unseen_ = uint64_t(own.visible_hi) << 32 | own.visible_lo;
  }
  __device__ __forceinline__ int length() const {
    int length = end_;
    for (uint64_t rest = unseen_; rest != 0; rest &= rest - 1) length += segments_[first_bit(rest)].rows;
    return length;
  }
  __device__ __forceinline__ int slot(int index) {
    while (index >= end_ && unseen_ != 0) {
      const Segment& next = segments_[first_bit(unseen_)];
      unseen_ &= unseen_ - 1;
      shift_ = next.slot - end_;
      end_ += next.rows;
    }
    return index + shift_;
  }

 private:
  static __device__ __forceinline__ int first_bit(uint64_t bits) { return __ffsll(int64_t(bits)) - 1; }

  const Segment* segments_;
  uint64_t unseen_;  // visible segments behind the current piece of the list
  int end_, shift_;  // of the current piece: where it ends, and slot - index
};

}  // namespace dvl
