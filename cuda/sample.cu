// SPDX-License-Identifier: Apache-2.0
// Draws a token from softmax(logits / temperature) after top-k and top-p, by the inverse of the cumulative distribution.
//
// Shape   logits [predictions from `first` on, vocab]; table [slots, stride] of block_table.cuh; tasks [grid y]: the blocks whose rows are
//         drawn; uniforms f64 [slots, rows] or null; legal bits [predictions from `first` on, 32 ceil(vocab / 32)] or null; token and
//         probability [predictions]; scratch: parts [tasks, rows, slices], arrived [tasks, rows], 0 before and after.
// Floor   the logits read once. They are read twice, and by a filter up to twice more, from the L2 cache.
// Idea    two launches with several blocks per row, each of a slice of the ids. sample_maximum finds the largest logit. sample adds up the
//         weights exp(l - maximum) of its slice; for a filter also by bins of equal width below the maximum. The block of a row that comes
//         last finds the bin in which a filter ends, lists its logits, and selects among them by 8 bits of their keys at a time. What is
//         kept of each slice is known then, so one slice alone is read again for the id at which u * total is passed.
// Exact   a weight is an f32 rounded to a multiple of 2^-(31 + clz(vocab)), 2^-45 for 151,936 ids. Sums are of whole numbers, hence the
//         same in every order and over any number of slices, and so is u * total, u having 53 bits. What rounds to 0 is never drawn.
//         Ties: all ties with the k-th largest stay (as the reference); at the top-p border the lowest ids stay.
#include "counter.cuh"
#include "grid.cuh"
#include "sample_filters.cuh"

namespace sampling {
namespace {

// What is kept of consecutive parts of a row, one a thread, and what stands before each.
struct Kept {
  u64 weight, before, total;
  int ties_before;

  __device__ __forceinline__ Kept(u64 above, int ties, const Border& border, int more_ties, Shared& s) {
    ties_before = more_ties + int(sum_before(u64(ties), s.partial, total));
    weight = above + u64(min(max(border.ties - ties_before, 0), ties)) * border.weight;
    before = sum_before(weight, s.partial, total);
  }
};

// (seed, forward, row) as 53 uniform bits.
__device__ __forceinline__ u64 counter_uniform(u64 seed, int forward, int row) {
  const u64 counter = u64(static_cast<unsigned>(forward)) << 32 | static_cast<unsigned>(row);
  return dvl::counter_bits(seed, counter) >> 11;
}

template <class T>
__device__ __forceinline__ void maximum(const Slice<T>& slice) {
  DVL_SHARED(float[kWarps], maxima);
  float most = -INFINITY, unmodified = -INFINITY;
  bool nan = false, unmodified_nan = false;
  slice.row.each(slice.begin, slice.end, [&](int id, float logit) {
    const float l = slice.row.at(id, logit);
    nan |= isnan(l);
    unmodified_nan |= isnan(logit);
    most = max(most, l);
    unmodified = max(unmodified, logit);
  });
  most = dvl::block_max(most, maxima);
  unmodified = dvl::block_max(unmodified, maxima);
  nan = __syncthreads_or(nan);
  unmodified_nan = __syncthreads_or(unmodified_nan);
  if (threadIdx.x == 0) {
    slice.parts[slice.number].maximum = nan ? NAN : most;
    slice.parts[slice.number].unmodified_maximum = unmodified_nan ? NAN : unmodified;
  }
}

template <class T>
__device__ __forceinline__ void sample(const Slice<T>& slice, int slices, const double* uniforms, int* token, float* probability,
                                       unsigned* arrived, bool original_confidence) {
  DVL_SHARED(Shared, s);
  const int thread = threadIdx.x, lane = thread & 31;
  const Row<T>& row = slice.row;
  const Weights weights(warp_maximum(lane < slices ? slice.parts[lane].maximum : -INFINITY), row.vocab);
  if (isnan(weights.maximum) || isinf(weights.maximum)) {  // no distribution: remasking reports the NaN
    if (slice.number == 0 && thread == 0) {
      token[slice.index] = 0;
      probability[slice.index] = NAN;
    }
    return;
  }
  const Weights original(warp_maximum(lane < slices ? slice.parts[lane].unmodified_maximum : -INFINITY), row.vocab);
  const bool finite = !isnan(original.maximum) && !isinf(original.maximum);
  const int top_k = slice.slot->top_k < row.vocab ? slice.slot->top_k : 0;
  const float top_p = slice.slot->top_p;
  const bool filtered = top_k > 0 || top_p < 1.f;

  // The slice's sums.
  if (thread < kBins) s.count[thread] = 0;
  s.sums.clear();
  u64 own = 0, own_original = 0, total;
  row.each(slice.begin, slice.end, [&](int id, float logit) {
    const float l = row.at(id, logit);
    const u64 w = weights.of(l);
    own += w;
    if (filtered && w != 0) s.sums.add(weights.bin(l), w);
    if (top_k > 0 && w != 0) atomicAdd(&s.count[weights.bin(l)], 1u);
    if (original_confidence && finite) own_original += original.of(logit);
  });
  Part& part = slice.parts[slice.number];
  sum_before(own, s.partial, total);
  if (thread == 0) part.total = total;
  sum_before(own_original, s.partial, total);
  if (thread == 0) part.unmodified = total;
  if (filtered && thread < kBins) {
    part.mass[thread] = s.sums.of(thread);
    part.count[thread] = s.count[thread];
  }
  if (!dvl::last_block(arrived + slice.at, slices)) return;

  // What is kept of the row.
  Border border = {kBins, 0u, row.vocab, 0};
  if (filtered) {
    u64 count = 0, mass = 0;
    for (int i = 0; i < slices && thread < kBins; i++) {
      mass += __ldcg(&slice.parts[i].mass[thread]);
      count += __ldcg(&slice.parts[i].count[thread]);
    }
    border = Filters<T>{row, weights, s, slice.ids}.border(top_k, top_p, count, mass);
  }

  // What is kept of each slice.
  u64 above = 0;
  int ties = 0;
  if (border.bin == kBins) {
    if (thread < slices) above = __ldcg(&slice.parts[thread].total);
  } else {
    for (int i = thread >> 5; i < slices; i += kWarps) {
      u64 sum = 0;
      for (int bin = lane; bin < border.bin; bin += 32) sum += __ldcg(&slice.parts[i].mass[bin]);
      sum = dvl::warp_sum(sum);
      if (lane == 0) s.sums.add(i, sum);
    }
    __syncthreads();
    if (thread < slices) {
      above = s.sums.of(thread);
      ties = int(s.sums.of(kMostSlices + thread));
    }
  }
  const Kept of_slice(above, ties, border, 0, s);
  const u64 seed = u64(slice.slot->seed_high) << 32 | slice.slot->seed_low;
  const u64 u = slice.slot->given != 0
                    ? static_cast<u64>(uniforms[int64_t(slice.task.slot) * slice.rows + slice.of_block] * 9007199254740992.0)
                    : counter_uniform(seed, slice.slot->forwards, slice.of_block);
  const u64 target = __umul64hi(u << 11, of_slice.total);
  if (of_slice.before <= target && target - of_slice.before < of_slice.weight) {
    s.at = thread;
    s.before = of_slice.before;
    s.ties_before = of_slice.ties_before;
  }
  __syncthreads();

  // What is kept of each thread's ids in the slice where the target is passed, then of each id.
  const int begin_of_slice = s.at * slice.ids, end_of_slice = min(begin_of_slice + slice.ids, row.vocab);
  const int chunk = (slice.ids + kThreads - 1) / kThreads;
  const int begin = min(begin_of_slice + thread * chunk, end_of_slice), end = min(begin + chunk, end_of_slice);
  above = 0;
  ties = 0;
#pragma unroll 2
  for (int id = begin; id < end; id++) {
    const float l = row.at(id);
    const unsigned key = order_key(l);
    above += key > border.key ? weights.of(l) : 0;
    ties += key == border.key ? 1 : 0;
  }
  const Kept of_thread(above, ties, border, s.ties_before, s);
  const u64 before = s.before + of_thread.before;
  if (before > target || target - before >= of_thread.weight) return;
  u64 left = target - before;
  int tie = of_thread.ties_before;
#pragma unroll 1
  for (int id = begin; id < end; id++) {
    const float l = row.at(id);
    const unsigned key = order_key(l);
    const u64 w = key > border.key || (key == border.key && tie++ < border.ties) ? weights.of(l) : 0;
    if (left < w) {
      token[slice.index] = id;
      if (!original_confidence) {
        probability[slice.index] = weights.probability(l, of_slice.total);
      } else {
        u64 sum = 0;
#pragma unroll 1
        for (int i = 0; i < slices; i++) sum += __ldcg(&slice.parts[i].unmodified);
        probability[slice.index] = finite ? original.probability(dvl::to_float(row.logits[id]), sum) : NAN;
      }
      return;
    }
    left -= w;
  }
}

}  // namespace
}  // namespace sampling

#define SAMPLE(T, suffix)                                                                                                            \
  extern "C" __global__ void __launch_bounds__(sampling::kThreads, 2)                                                                \
      sample_maximum_##suffix(const T* logits, int* table, const BlockTask* tasks, sampling::Part* parts, int stride, int vocab,     \
                              int first, int slices, const unsigned* legal) {                                                        \
    if (tasks[blockIdx.y].variants == 0) return; /* fills up a list of tasks */                                                      \
    sampling::maximum(sampling::Slice<T>(logits, table, tasks, parts, stride, vocab, first, slices, legal));                         \
  }                                                                                                                                  \
  DVL_EXPORT(sample_maximum_##suffix);                                                                                               \
  extern "C" __global__ void __launch_bounds__(sampling::kThreads, 1)                                                                \
      sample_##suffix(const T* logits, int* table, const BlockTask* tasks, const double* uniforms, int* token, float* probability,   \
                      sampling::Part* parts, unsigned* arrived, int stride, int vocab, int first, int slices,                        \
                      int original_confidence, const unsigned* legal) {                                                              \
    if (tasks[blockIdx.y].variants == 0) return;                                                                                     \
    sampling::sample(sampling::Slice<T>(logits, table, tasks, parts, stride, vocab, first, slices, legal), slices, uniforms, token,  \
                     probability, arrived, original_confidence != 0);                                                                \
  }                                                                                                                                  \
  DVL_EXPORT(sample_##suffix)

SAMPLE(bf16, bf16);
SAMPLE(f16, f16);
SAMPLE(float, f32);
