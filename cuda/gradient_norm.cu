// SPDX-License-Identifier: Apache-2.0
// The global norm of all gradients, and the factor that clips it.
//
// Shape   x f32 [n]; partial f64 [blocks]; result f32 [2]: the norm, and min(1, limit / norm).
// Floor   the gradients read once.
// Idea    gradient_norm_partial leaves one sum of squares for each block, gradient_norm_finish adds them up in order. Sums are f64: a
//         billion squares lose nothing that matters, and the order depends on sizes alone.
// Rounds  the two results.
#include "dvl.cuh"
#include "rows.cuh"

namespace {

constexpr int kThreads = 256;
constexpr int kEach = 4;

}  // namespace

extern "C" __global__ void __launch_bounds__(kThreads) gradient_norm_partial(const float* x, double* partial, int64_t n) {
  DVL_SHARED(double[kThreads / 32], sums);
  const bool wide = dvl::aligned16(x);
  double own = 0.0;
  for (int64_t at = (int64_t(blockIdx.x) * kThreads + threadIdx.x) * kEach; at < n; at += int64_t(gridDim.x) * kThreads * kEach) {
    float v[kEach];
    dvl::load_piece(x + at, n - at < kEach ? int(n - at) : kEach, wide, v);
#pragma unroll
    for (int i = 0; i < kEach; i++) own += double(v[i]) * double(v[i]);
  }
  const double total = dvl::block_sum(own, sums);
  if (threadIdx.x == 0) partial[blockIdx.x] = total;
}
DVL_EXPORT(gradient_norm_partial);

extern "C" __global__ void __launch_bounds__(kThreads) gradient_norm_finish(const double* partial, float* result, int count, float limit) {
  DVL_SHARED(double[kThreads / 32], sums);
  double own = 0.0;
  for (int i = threadIdx.x; i < count; i += kThreads) own += partial[i];
  const double norm = sqrt(dvl::block_sum(own, sums));
  if (threadIdx.x == 0) {
    result[0] = float(norm);
    result[1] = norm > double(limit) ? float(double(limit) / norm) : 1.f;
  }
}
DVL_EXPORT(gradient_norm_finish);
