// SPDX-License-Identifier: Apache-2.0
// What sample's two launches share: a row of logits and its slices, the weights of its ids as whole numbers, and exact sums of them.
#pragma once
#include "block_table.cuh"
#include "dvl.cuh"
#include "rows.cuh"

namespace sampling {

using u64 = unsigned long long;

constexpr int kThreads = 512;
constexpr int kWarps = kThreads / 32;
constexpr int kEach = 8;  // ids that a thread reads at once
constexpr int kMostSlices = 32;  // a lane each
constexpr int kBins = 256;
constexpr float kBinWidth = 3.f / 16;

// What a slice has found; SampleWorkspace in Java knows its size.
struct Part {
  u64 mass[kBins];  // sums of weights
  u64 total;
  u64 unmodified;         // of the weights of the unmodified logits
  unsigned count[kBins];  // weights that are not 0
  float maximum;          // NaN where a logit is
  float unmodified_maximum;
};
static_assert(sizeof(Part) == 3096, "mirrored in Java");

// Unsigned keys in the order of the floats (finite and infinite); adding 0 makes -0 the equal of +0.
__device__ __forceinline__ unsigned order_key(float x) {
  const unsigned bits = __float_as_uint(x + 0.f);
  return (bits & 0x80000000u) != 0 ? ~bits : bits | 0x80000000u;
}
__device__ __forceinline__ float of_order_key(unsigned key) {
  return __uint_as_float((key & 0x80000000u) != 0 ? key & 0x7fffffffu : ~key);
}

// exp(l - maximum) in units of 2^-(31 + clz(vocab)), so that a sum over the vocabulary is below 2^63.
struct Weights {
  float maximum;
  float one;

  __device__ __forceinline__ Weights(float maximum, int vocab)
      : maximum(maximum), one(__uint_as_float(static_cast<unsigned>(127 + 31 + __clz(vocab)) << 23)) {}

  __device__ __forceinline__ u64 of(float l) const { return static_cast<u64>(rintf(expf(l - maximum) * one)); }
  // The probability of a weight among `total`.
  __device__ __forceinline__ float probability(float l, u64 total) const {
    return float(double(expf(l - maximum) * one) / double(total));
  }
  // Bins of equal width, the largest logits first; they reach past every weight that is not 0.
  __device__ __forceinline__ int bin(float l) const { return int((maximum - l) * (1.f / kBinWidth)); }
};

// Sums of 64 bits by atomics of 32 bits: in shared memory, those of 64 bits are loops.
struct Sums {
  unsigned low[kBins], high[kBins];

  __device__ __forceinline__ void clear() {
    __syncthreads();
    if (threadIdx.x < kBins) low[threadIdx.x] = high[threadIdx.x] = 0;
    __syncthreads();
  }
  __device__ __forceinline__ void add(int at, u64 value) {
    const auto part = static_cast<unsigned>(value);
    const unsigned before = atomicAdd(&low[at], part);
    const unsigned rest = static_cast<unsigned>(value >> 32) + (before + part < before ? 1u : 0u);
    if (rest != 0) atomicAdd(&high[at], rest);
  }
  __device__ __forceinline__ u64 of(int at) const { return u64(high[at]) << 32 | low[at]; }
};

// The sum of the lanes up to this one.
__device__ __forceinline__ u64 sum_up_to(u64 value) {
#pragma unroll
  for (int offset = 1; offset < 32; offset *= 2) {
    const u64 below = dvl::shuffle_up(value, offset);
    if (int(threadIdx.x & 31) >= offset) value += below;
  }
  return value;
}

// The sum of the values of the threads before; `total`: of all.
__device__ __forceinline__ u64 sum_before(u64 value, u64 (&partial)[kWarps], u64& total) {
  const int lane = threadIdx.x & 31, warp = threadIdx.x >> 5;
  const u64 sum = sum_up_to(value);
  if (lane == 31) partial[warp] = sum;
  __syncthreads();
  const u64 warps = sum_up_to(lane < kWarps ? partial[lane] : 0);
  __syncthreads();
  total = dvl::shuffle(warps, kWarps - 1);
  const u64 others = dvl::shuffle(warps, max(warp - 1, 0));
  return sum - value + (warp > 0 ? others : 0);
}

// The largest of what the lanes have, in every lane; NaN where one has it.
__device__ __forceinline__ float warp_maximum(float own) {
  const bool nan = dvl::ballot(isnan(own)) != 0;
  own = dvl::warp_max(own);
  return nan ? NAN : own;
}

template <class T>
struct Row {
  const T* logits;
  int vocab;
  int excluded;
  float temperature;
  const unsigned* legal;  // a bit per id, or null: all

  // What is drawn from in the place of a logit.
  __device__ __forceinline__ float at(int id, float logit) const {
    if (id == excluded) return -INFINITY;
    if (legal != nullptr && (legal[id / 32] >> (id % 32) & 1u) == 0) return -INFINITY;
    return temperature == 1.f ? logit : logit / temperature;
  }
  __device__ __forceinline__ float at(int id) const { return at(id, dvl::to_float(logits[id])); }

  // f(id, logit) for the ids from begin, a multiple of 8, to end, by all threads of the block; the next piece comes meanwhile.
  template <class F>
  __device__ __forceinline__ void each(int begin, int end, F f) const {
    constexpr int stride = kEach * kThreads;
    const bool wide = dvl::aligned16(logits);
    int first = begin + kEach * int(threadIdx.x);
    float next[kEach];
    dvl::load_piece(logits + first, end - first, wide, next);
#pragma unroll 1
    for (; first < end; first += stride) {
      float logit[kEach];
#pragma unroll
      for (int i = 0; i < kEach; i++) logit[i] = next[i];
      dvl::load_piece(logits + first + stride, end - first - stride, wide, next);
#pragma unroll
      for (int i = 0; i < kEach; i++)
        if (first + i < end) f(first + i, logit[i]);
    }
  }

  // f(id) for the ids whose logit is not below `least`, few in most cases: they are read again.
  template <class F>
  __device__ __forceinline__ void not_below(float least, F f) const {
    constexpr int stride = kEach * kThreads, ahead = 4;
    const bool wide = dvl::aligned16(logits);
#pragma unroll 1
    for (int first = kEach * int(threadIdx.x); first < vocab; first += ahead * stride) {
      unsigned found = 0xffffffffu;  // bit 8 a + i: id first + a * stride + i
      if (wide && first + (ahead - 1) * stride + kEach <= vocab) {
        float logit[ahead][kEach];
#pragma unroll
        for (int a = 0; a < ahead; a++) dvl::load(logits + first + a * stride, logit[a]);
#pragma unroll
        for (int i = 0; i < ahead * kEach; i++)
          if (logit[i / kEach][i % kEach] < least) found ^= 1u << i;
      }
      for (; found != 0; found &= found - 1) {
        const int bit = __ffs(int(found)) - 1, id = first + bit / kEach * stride + bit % kEach;
        if (id < vocab) f(id);
      }
    }
  }
};

// What a block of either launch works on: `slices` blocks in a row of the grid per row of a task.
template <class T>
struct Slice {
  BlockTask task;
  const BlockSlot* slot;
  int rows, of_block;  // rows of the sequence's block, and which of them
  int index;           // prediction
  int number;
  int ids;             // of a slice, a multiple of 8
  int begin, end;
  int64_t at;          // row of the launch
  Part* parts;         // of the row
  Row<T> row;

  __device__ __forceinline__ Slice(const T* logits, int* table, const BlockTask* tasks, Part* all, int stride, int vocab, int first,
                                   int slices, const unsigned* legal)
      : task(tasks[blockIdx.y]), slot(block_slot(table, stride, task.slot)) {
    rows = int(gridDim.x) / slices;
    of_block = int(blockIdx.x) / slices;
    index = task.row + of_block;
    number = int(blockIdx.x) % slices;
    ids = ((vocab + kEach - 1) / kEach + slices - 1) / slices * kEach;
    begin = min(number * ids, vocab);
    end = min(begin + ids, vocab);
    at = int64_t(blockIdx.y) * rows + of_block;
    parts = all + at * slices;
    row = {logits + int64_t(index - first) * vocab, vocab, slot->excluded, slot->temperature,
           legal == nullptr ? nullptr : legal + int64_t(index - first) * ((vocab + 31) / 32)};
  }
};

}  // namespace sampling
