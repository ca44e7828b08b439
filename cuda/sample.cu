// SPDX-License-Identifier: Apache-2.0
// Draws a token from softmax(logits / temperature) after top-k and top-p, by the inverse of the cumulative distribution.
//
// Shape   logits [predictions from `first` on, vocab]; table [slots, stride] of block_table.cuh; tasks [grid y]: the blocks whose rows are
//         drawn; uniforms f64 [slots, rows] or null; legal bits [predictions from `first` on, 32 ceil(vocab / 32)] or null; token and
//         probability [predictions].
// Floor   the logits read once; this plain version sweeps them about 70 times when both filters are on (they stay in L2).
// Idea    one thread block per row of a task, no sort: logits map to unsigned keys of the same order, and a threshold is found bit by bit,
//         counting (top-k) or adding up the mass (top-p) of the keys above a candidate. Then each thread owns a contiguous chunk of ids, an
//         ordered scan gives where its mass begins, and the owner of u * total walks its chunk.
// Exact   masses are added in f64 in a fixed order. Ties: all ties with the k-th largest stay (as the reference); at the top-p
//         border the lowest ids stay.
#include "block_table.cuh"
#include "counter.cuh"
#include "dvl.cuh"
#include "rows.cuh"

namespace {

constexpr int kThreads = 256;
constexpr int kWarps = kThreads / 32;

// Unsigned keys in the order of the floats (finite and infinite); adding 0 makes -0 the equal of +0.
__device__ __forceinline__ unsigned order_key(float x) {
  const unsigned bits = __float_as_uint(x + 0.f);
  return (bits & 0x80000000u) != 0 ? ~bits : bits | 0x80000000u;
}

// (seed, forward, row) as 53 uniform bits.
__device__ __forceinline__ double counter_uniform(unsigned long long seed, int forward, int row) {
  const unsigned long long counter = static_cast<unsigned long long>(static_cast<unsigned>(forward)) << 32 | static_cast<unsigned>(row);
  return static_cast<double>(dvl::counter_bits(seed, counter) >> 11) * (1.0 / 9007199254740992.0);
}

template <class T>
struct Row {
  const T* logits;
  int vocab;
  int excluded;
  float temperature;
  const unsigned* legal;  // a bit per id, or null: all

  __device__ __forceinline__ float at(int i) const {
    if (i == excluded) return -INFINITY;
    if (legal != nullptr && (legal[i / 32] >> (i % 32) & 1u) == 0) return -INFINITY;
    const float l = dvl::to_float(logits[i]);
    return temperature == 1.f ? l : l / temperature;
  }
};

// The key of the k-th largest logit.
template <class T>
__device__ __forceinline__ unsigned top_k_key(const Row<T>& row, int k, int (&partial)[kWarps]) {
  unsigned key = 0;
  for (unsigned bit = 0x80000000u; bit != 0; bit >>= 1) {
    const unsigned candidate = key | bit;
    int count = 0;
    for (int i = threadIdx.x; i < row.vocab; i += kThreads) count += order_key(row.at(i)) >= candidate;
    if (dvl::block_sum(count, partial) >= k) key = candidate;
  }
  return key;
}

// Mass of the keys above `above` and not below `floor`.
template <class T>
__device__ __forceinline__ double mass(const Row<T>& row, unsigned above, unsigned floor, float maximum, double (&partial)[kWarps]) {
  double sum = 0;
  for (int i = threadIdx.x; i < row.vocab; i += kThreads) {
    const float l = row.at(i);
    const unsigned key = order_key(l);
    if (key > above && key >= floor) sum += double(expf(l - maximum));
  }
  return dvl::block_sum(sum, partial);
}

// Nothing below `key` is kept; of the logits equal to it the first `ties` ids.
struct Border {
  unsigned key;
  int ties;
};

template <class T>
__device__ __forceinline__ Border top_p_border(const Row<T>& row, unsigned floor, float maximum, float top_p, double (&partial)[kWarps]) {
  const double limit = double(top_p) * mass(row, 0u, floor, maximum, partial);
  unsigned too_low = 0;  // the largest key with more than `limit` above it; the border is the next one
  for (unsigned bit = 0x80000000u; bit != 0; bit >>= 1) {
    const unsigned candidate = too_low | bit;
    if (mass(row, candidate, floor, maximum, partial) > limit) too_low = candidate;
  }
  const unsigned key = too_low + 1;
  const unsigned bits = (key & 0x80000000u) != 0 ? key & 0x7fffffffu : ~key;
  const double one = double(expf(__uint_as_float(bits) - maximum));
  const double room = __dadd_rn(limit, -mass(row, key, floor, maximum, partial));  // mass that may stand before the last tie
  const double ties = one > 0 ? room / one : double(row.vocab);
  return {key, ties < double(row.vocab) ? int(ties) + 1 : row.vocab};
}

// scan[t] becomes the sum of scan[0 .. t), scan[kThreads] the total; added up in order by one thread.
template <class T>
__device__ __forceinline__ void exclusive_scan(T (&scan)[kThreads + 1]) {
  __syncthreads();
  if (threadIdx.x == 0) {
    T sum = 0;
    for (int t = 0; t <= kThreads; t++) {
      const T value = t < kThreads ? scan[t] : T(0);
      scan[t] = sum;
      sum += value;
    }
  }
  __syncthreads();
}

template <class T>
__device__ __forceinline__ void sample(const T* logits, int* table, const BlockTask* tasks, const double* uniforms, int* token,
                                       float* probability, int stride, int vocab, int first, int original_confidence,
                                       const unsigned* legal) {
  DVL_SHARED(double[kWarps], sums);
  DVL_SHARED(int[kWarps], counts);
  DVL_SHARED(float[kWarps], maxima);
  DVL_SHARED(int[kThreads + 1], tie_scan);
  DVL_SHARED(double[kThreads + 1], mass_scan);
  const BlockTask task = tasks[blockIdx.y];
  if (task.variants == 0) return;  // fills up a list of tasks
  const BlockSlot& slot = *block_slot(table, stride, task.slot);
  const int index = task.row + int(blockIdx.x);
  const int top_k = slot.top_k;
  const float top_p = slot.top_p;
  const Row<T> row = {logits + int64_t(index - first) * vocab, vocab, slot.excluded, slot.temperature,
                      legal == nullptr ? nullptr : legal + int64_t(index - first) * ((vocab + 31) / 32)};

  float maximum = -INFINITY;
  int nan = 0;
  for (int i = threadIdx.x; i < vocab; i += kThreads) {
    const float l = row.at(i);
    nan += isnan(l) ? 1 : 0;
    maximum = max(maximum, l);
  }
  maximum = dvl::block_max(maximum, maxima);
  nan = dvl::block_sum(nan, counts);
  if (nan != 0 || maximum == -INFINITY || maximum == INFINITY) {  // no distribution: remasking reports the NaN
    if (threadIdx.x == 0) {
      token[index] = 0;
      probability[index] = NAN;
    }
    return;
  }

  Border border = {0u, vocab};
  if (top_k > 0 && top_k < vocab) border.key = top_k_key(row, top_k, counts);
  if (top_p < 1.f) border = top_p_border(row, border.key, maximum, top_p, sums);

  // Each thread owns ids [begin, end); how many ties and how much mass stand before them?
  const int chunk = (vocab + kThreads - 1) / kThreads;
  const int begin = min(int(threadIdx.x) * chunk, vocab), end = min(begin + chunk, vocab);
  int ties = 0;
  for (int i = begin; i < end; i++) ties += order_key(row.at(i)) == border.key;
  tie_scan[threadIdx.x] = ties;
  exclusive_scan(tie_scan);
  auto weight = [&](int i, int& tie) {
    const float l = row.at(i);
    const unsigned key = order_key(l);
    const bool kept = key > border.key || (key == border.key && tie++ < border.ties);
    return kept ? double(expf(l - maximum)) : 0.0;
  };
  int tie = tie_scan[threadIdx.x];
  double own = 0;
  for (int i = begin; i < end; i++) own += weight(i, tie);
  mass_scan[threadIdx.x] = own;
  exclusive_scan(mass_scan);

  const double total = mass_scan[kThreads];
  const unsigned long long seed = static_cast<unsigned long long>(slot.seed_high) << 32 | slot.seed_low;
  const double u = slot.given != 0 ? uniforms[int64_t(task.slot) * gridDim.x + blockIdx.x]
                                   : counter_uniform(seed, slot.forwards, int(blockIdx.x));
  double target = u * total;
  if (!(target < total)) target = total * (1.0 - 1.1102230246251565e-16);  // u so near 1 that the product rounded up
  float picked = 0.f;
  if (mass_scan[threadIdx.x] <= target && target < mass_scan[threadIdx.x + 1]) {
    double cumulative = mass_scan[threadIdx.x];
    int choice = begin;
    double choice_weight = 0;
    tie = tie_scan[threadIdx.x];
    for (int i = begin; i < end && !(cumulative > target); i++) {
      const double w = weight(i, tie);
      if (w > 0) {
        choice = i;
        choice_weight = w;
      }
      cumulative += w;
    }
    token[index] = choice;
    if (original_confidence == 0) probability[index] = float(choice_weight / total);
    picked = dvl::to_float(row.logits[choice]);
  }
  if (original_confidence != 0) {
    // Softmax of the unmodified logits; exactly one thread holds the picked logit, the others hold 0.
    float top = -INFINITY;
    for (int i = threadIdx.x; i < vocab; i += kThreads) top = max(top, dvl::to_float(row.logits[i]));
    top = dvl::block_max(top, maxima);
    double sum = 0;
    for (int i = threadIdx.x; i < vocab; i += kThreads) sum += double(expf(dvl::to_float(row.logits[i]) - top));
    sum = dvl::block_sum(sum, sums);
    const double chosen = dvl::block_sum(double(picked), sums);
    if (threadIdx.x == 0) probability[index] = float(double(expf(float(chosen) - top)) / sum);
  }
}

}  // namespace

#define SAMPLE(T, suffix)                                                                                                          \
  extern "C" __global__ void __launch_bounds__(kThreads, 2)                                                                        \
      sample_##suffix(const T* logits, int* table, const BlockTask* tasks, const double* uniforms, int* token, float* probability, \
                      int stride, int vocab, int first, int original_confidence, const unsigned* legal) {                          \
    sample(logits, table, tasks, uniforms, token, probability, stride, vocab, first, original_confidence, legal);                  \
  }                                                                                                                                \
  DVL_EXPORT(sample_##suffix)

SAMPLE(bf16, bf16);
SAMPLE(f16, f16);
SAMPLE(float, f32);
