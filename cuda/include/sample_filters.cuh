// SPDX-License-Identifier: Apache-2.0
// Where top-k and top-p end in a row whose weights are known by bin, found by one block.
#pragma once
#include "sample_row.cuh"

namespace sampling {

constexpr int kListed = 2048;

// What is kept: the keys above `key`, and of the ids whose key it is the first `ties`.
struct Border {
  int bin;  // that the key lies in; kBins: everything is kept
  unsigned key;
  int ties;
  u64 weight;  // of a tie
};

struct Shared {
  Sums sums;
  unsigned count[kBins];
  u64 partial[kWarps];
  int at;  // the thread that was found last, and what stands before it
  u64 before;
  int ties_before;
  int listed;  // ids of the listed bin; more than kListed: the list has no room for them
  float logit[kListed];
  int id[kListed];
};

// The thread in whose value, all being added up in order, `limit` is passed. It becomes what is left of it there. kBins: nowhere.
__device__ __forceinline__ int passed(u64 value, u64& limit, Shared& s) {
  u64 total;
  const u64 before = sum_before(value, s.partial, total);
  if (limit >= total) return kBins;
  if (before <= limit && limit - before < value) {
    s.at = threadIdx.x;
    s.before = before;
  }
  __syncthreads();
  limit -= s.before;
  return s.at;
}

// a / b of whole numbers whose quotient is an int: without a call
__device__ __forceinline__ int quotient(u64 a, u64 b) {
  const int about = int(double(a) / double(b));
  return u64(about) * b > a ? about - 1 : u64(about + 1) * b <= a ? about + 1 : about;
}

template <class T>
struct Filters {
  const Row<T>& row;
  const Weights& weights;
  Shared& s;
  int ids;  // of a slice

  // f(id, logit) for the ids of a bin by a look at the whole row.
  template <class F>
  __device__ __forceinline__ void search(int bin, F f) const {
    // Below every logit of the bin: one bin lower, and less by what rounding may take away.
    float least = weights.maximum - float(bin + 2) * kBinWidth - fabsf(weights.maximum) * 1e-6f;
    least *= row.temperature;
    least -= fabsf(least) * 1e-6f;
    row.not_below(least, [&](int id) {
      const float l = row.at(id);
      if (weights.of(l) != 0 && weights.bin(l) == bin) f(id, l);
    });
  }

  __device__ __forceinline__ void list(int bin) const {
    __syncthreads();
    if (threadIdx.x == 0) s.listed = 0;
    __syncthreads();
    search(bin, [&](int id, float l) {
      const int at = atomicAdd(&s.listed, 1);
      if (at < kListed) {
        s.logit[at] = l;
        s.id[at] = id;
      }
    });
    __syncthreads();
  }

  // f(id, logit) for the ids of the listed bin, in any order.
  template <class F>
  __device__ __forceinline__ void visit(int bin, F f) const {
    if (s.listed > kListed) {
      search(bin, f);
    } else {
      for (int i = threadIdx.x; i < s.listed; i += kThreads) f(s.id[i], s.logit[i]);
    }
  }

  // top-k, then top-p among what it keeps; one of them is on. The thread of a bin has the bin's sums. Where the border lies in a bin,
  // s.sums has by slice the weight of the bin's ids above the key, and from kMostSlices on their ties.
  __device__ __forceinline__ Border border(int top_k, float top_p, u64 count, u64 mass) const {
    Border border = {kBins, 0u, row.vocab, 0};
#pragma unroll 1
    for (int filter = top_k > 0 ? 0 : 1; filter < (top_p < 1.f ? 2 : 1); filter++) {
      // How many ids, or how much weight, may stand before the last that is kept.
      u64 limit = u64(top_k) - 1, total;
      if (filter == 1) {
        sum_before(mass, s.partial, total);
        limit = static_cast<u64>(double(top_p) * double(total));
      }
      const int bin = passed(filter == 0 ? count : mass, limit, s);
      if (bin == kBins) continue;
      if (bin != border.bin) list(bin);
      const unsigned floor = border.key;
      unsigned key = 0;
#pragma unroll 1
      for (int shift = 24; shift >= -8; shift -= 8) {
        s.sums.clear();
        visit(bin, [&](int id, float l) {
          const unsigned own = order_key(l);
          if (shift < 0) {
            if (own >= key) s.sums.add(own > key ? id / ids : kMostSlices + id / ids, own > key ? weights.of(l) : 1);
          } else if (own >= floor && (own ^ key) >> shift < 256u) {
            s.sums.add(255 - int(own >> shift & 255u), filter == 0 ? 1 : weights.of(l));
          }
        });
        __syncthreads();
        if (shift >= 0) key |= static_cast<unsigned>(255 - passed(threadIdx.x < kBins ? s.sums.of(threadIdx.x) : 0, limit, s)) << shift;
      }
      border = {bin, key, row.vocab, weights.of(of_order_key(key))};
      if (filter == 1) {
        border.ties = quotient(limit, border.weight) + 1;
      } else {
        const u64 own = threadIdx.x < 2 * kMostSlices ? s.sums.of(threadIdx.x) : 0;
        sum_before(threadIdx.x < kMostSlices ? own : own * border.weight, s.partial, total);
        if (int(threadIdx.x) >= bin) mass = int(threadIdx.x) == bin ? total : 0;
      }
    }
    return border;
  }
};

}  // namespace sampling
