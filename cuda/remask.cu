// SPDX-License-Identifier: Apache-2.0
// One denoising step's decision: which masked positions are committed, and the token update on the device.
//
// Shape   all arrays [rows]; status [3] = committed, masked rows left, 1 if a masked row's probability is NaN (then nothing changes).
// Floor   latency: a few hundred bytes.
// Idea    a row's rank is the number of masked rows that are more confident (ties: lower row first). Static takes rank < quota; dynamic
//         takes every probability > threshold when there are at least `quota` of them, else as static. Decisions are
//         complete before the first update, so no row sees another's.
// Quirk   a committed mask id leaves its row masked, as the reference does; launchers that exclude the id never meet it.
#include "dvl.cuh"
#include "rows.cuh"

namespace {

constexpr int kThreads = 256;

// How many masked rows go before `row`.
__device__ __forceinline__ int rank_of(int row, const float* probability, const int* masked, int rows) {
  const float own = probability[row];
  int rank = 0;
  for (int j = 0; j < rows; j++) {
    const float other = probability[j];
    rank += masked[j] != 0 && (other > own || (other == own && j < row));
  }
  return rank;
}

}  // namespace

extern "C" __global__ void __launch_bounds__(kThreads)
    remask(const int* token, const float* probability, int* ids, int* masked, int* committed, int* status, int rows, int quota, int dynamic,
           float threshold, int mask_id) {
  DVL_SHARED(int[kThreads / 32], partial);
  int above = 0, nan = 0;
  for (int row = threadIdx.x; row < rows; row += kThreads) {
    if (masked[row] != 0) {
      above += probability[row] > threshold;
      nan += isnan(probability[row]) ? 1 : 0;
    }
  }
  above = dvl::block_sum(above, partial);
  nan = dvl::block_sum(nan, partial);
  const bool all_above = dynamic != 0 && above >= quota;

  for (int row = threadIdx.x; row < rows; row += kThreads) {
    bool take = masked[row] != 0 && nan == 0;
    if (take) take = all_above ? probability[row] > threshold : rank_of(row, probability, masked, rows) < quota;
    committed[row] = take;
  }
  __syncthreads();

  int taken = 0, left = 0;
  for (int row = threadIdx.x; row < rows; row += kThreads) {
    if (committed[row] != 0) {
      ids[row] = token[row];
      masked[row] = token[row] == mask_id;
      taken++;
    }
    left += masked[row] != 0;
  }
  taken = dvl::block_sum(taken, partial);
  left = dvl::block_sum(left, partial);
  if (threadIdx.x == 0) {
    status[0] = taken;
    status[1] = left;
    status[2] = nan != 0;
  }
}
DVL_EXPORT(remask);
