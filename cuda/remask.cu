// SPDX-License-Identifier: Apache-2.0
// What follows a denoising pass: which masked positions are committed, the token update on the device, and drafts of the states to
// come (self-speculation).
//
// Shape   token, probability [predictions]; table [slots, stride] of block_table.cuh; tasks [grid]: the blocks that are decided, each from
//         its own predictions [variants, rows]. A row is masked where its id is mask_id.
// Floor   latency: a few hundred bytes per task.
// Idea    one thread block per task; tasks know nothing of each other. A row's rank is the number of masked rows that are more confident
//         (ties: lower row first). Static takes rank < quota; dynamic takes every probability > threshold when there are at least `quota`
//         of them, else as static. Decisions are complete before the first update, so no row sees another's.
//         Variant 0 of the pass was the block, variant v its draft v. Where draft v is what the block has become after v steps, the
//         predictions for draft v are those for the block: steps are taken one after the other until a draft is wrong. New drafts
//         follow the last predictions used: draft i is the block after i more steps that predict the same.
// Quirk   a committed mask id leaves its row masked, as the reference does; launchers that exclude the id never meet it.
#include "block_table.cuh"
#include "dvl.cuh"
#include "rows.cuh"

namespace {

constexpr int kThreads = 256;
constexpr int kBlocks = 4;  // of a multiprocessor: left to itself ptxas takes so few registers that it spills

// How many masked rows go before `row`.
__device__ __forceinline__ int rank_of(int row, const float* probability, const int* ids, int rows, int mask_id) {
  const float own = probability[row];
  int rank = 0;
  for (int j = 0; j < rows; j++) {
    const float other = probability[j];
    rank += ids[j] == mask_id && (other > own || (other == own && j < row));
  }
  return rank;
}

}  // namespace

extern "C" __global__ void __launch_bounds__(kThreads, kBlocks)
    remask(const int* token, const float* probability, int* table, const BlockTask* tasks, int stride, int rows, int mask_id) {
  DVL_SHARED(int[kThreads / 32], partial);
  const BlockTask task = tasks[blockIdx.x];
  if (task.variants == 0) return;  // fills up a list of tasks
  BlockSlot* const slot = block_slot(table, stride, task.slot);
  int* const ids = slot->ids(rows);
  int* const step_of = slot->step_of();
  float* const confidence = slot->confidence(rows);
  token += task.row;
  probability += task.row;
  const int quotas = slot->steps + 1;
  const bool dynamic = slot->dynamic != 0;
  const float threshold = slot->threshold;
  int step = slot->step, masked = slot->masked, nan = slot->nan;

  int used = 0;  // variant whose predictions decide
  for (int variant = 0; variant < task.variants && masked > 0 && step < quotas; variant++) {
    const int* t = token + int64_t(variant) * rows;
    const float* p = probability + int64_t(variant) * rows;
    const int* draft = ids + int64_t(variant) * rows;
    int wrong = 0, above = 0, broken = 0;
    for (int row = threadIdx.x; row < rows; row += kThreads) {
      wrong += draft[row] != ids[row];
      if (ids[row] == mask_id) {
        above += p[row] > threshold;
        broken += isnan(p[row]) ? 1 : 0;
      }
    }
    if (dvl::block_sum(wrong, partial) != 0) break;
    above = dvl::block_sum(above, partial);
    nan |= dvl::block_sum(broken, partial) != 0;
    if (nan != 0) break;
    used = variant;

    const int take = slot->quota(step);
    const bool all_above = dynamic && above >= take;
    for (int row = threadIdx.x; row < rows; row += kThreads) {
      if (ids[row] == mask_id && (all_above ? p[row] > threshold : rank_of(row, p, ids, rows, mask_id) < take)) step_of[row] = step;
    }
    __syncthreads();
    int left = 0, kept = 0;
    for (int row = threadIdx.x; row < rows; row += kThreads) {
      if (ids[row] == mask_id && step_of[row] == step) {
        ids[row] = t[row];
        confidence[row] = p[row];
        kept += t[row] == mask_id;
      }
      left += ids[row] == mask_id;
    }
    masked = dvl::block_sum(left, partial);
    step++;
    // One entry a row: a row that stays masked may be committed again, so the host reads this one first.
    if (dvl::block_sum(kept, partial) != 0) break;
  }

  int open_drafts = 0;
  if (slot->drafts > 0 && nan == 0) {
    const int* t = token + int64_t(used) * rows;
    const float* p = probability + int64_t(used) * rows;
    int above = 0;
    for (int row = threadIdx.x; row < rows; row += kThreads) above += ids[row] == mask_id && p[row] > threshold;
    above = dvl::block_sum(above, partial);
    for (int row = threadIdx.x; row < rows; row += kThreads) {
      const bool open = ids[row] == mask_id;
      const int rank = open ? rank_of(row, p, ids, rows, mask_id) : rows;
      int filled = 0;
      for (int draft = 1; draft <= slot->drafts; draft++) {
        const int at = step + draft - 1;
        const int take = at < quotas ? slot->quota(at) : 0;
        const int certain = max(0, above - filled);
        filled += dynamic && certain >= take ? certain : min(take, masked - filled);
        ids[int64_t(draft) * rows + row] = rank < filled ? t[row] : ids[row];
        open_drafts += row == 0 && filled < masked && at + 1 < quotas;
      }
    }
  }
  __syncthreads();  // every thread has read the old status
  if (threadIdx.x == 0) {
    slot->step = step;
    slot->masked = masked;
    slot->nan = nan;
    slot->forwards += nan == 0;
    slot->open_drafts = open_drafts;
  }
}
DVL_EXPORT(remask);
