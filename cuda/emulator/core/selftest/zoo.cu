// SPDX-License-Identifier: Apache-2.0
// Kernels with one bug each that (mostly) only the check build can name, and correct ones that it must not report.
#include "dvl.cuh"
#include "grid.cuh"

extern "C" __global__ void missing_syncwarp(int* out) {
  DVL_SHARED(int[32], values);
  values[threadIdx.x] = threadIdx.x;
  out[threadIdx.x] = values[threadIdx.x ^ 1];  // BUG: no __syncwarp between
}
DVL_EXPORT(missing_syncwarp);

extern "C" __global__ void shuffle_is_no_barrier(int* out) {
  DVL_SHARED(int[32], values);
  values[threadIdx.x] = threadIdx.x;
  dvl::shuffle(0, 0);                          // all lanes were here, but that orders no memory
  out[threadIdx.x] = values[threadIdx.x ^ 1];  // BUG
}
DVL_EXPORT(shuffle_is_no_barrier);

extern "C" __global__ void overwrite_while_read(int* out) {
  DVL_SHARED(int[64], values);
  values[threadIdx.x] = threadIdx.x;
  __syncthreads();
  out[threadIdx.x] = values[63 - threadIdx.x];
  values[threadIdx.x] = 0;  // BUG: others may still read it
}
DVL_EXPORT(overwrite_while_read);

extern "C" __global__ void two_writers(int* out) {
  DVL_SHARED(int[1], value);
  value[0] = threadIdx.x;  // BUG: all threads
  __syncthreads();
  out[threadIdx.x] = value[0];
}
DVL_EXPORT(two_writers);

extern "C" __global__ void uninitialised_shared(int* out) {
  DVL_SHARED(int[64], values);
  values[threadIdx.x] = 1;
  __syncthreads();
  int sum = 0;
  for (int i = 0; i < 33; i++) sum += values[i];  // BUG: 32 threads, so values[32] was never written
  out[threadIdx.x] = sum;
}
DVL_EXPORT(uninitialised_shared);

extern "C" __global__ void uninitialised_global(const int* x, int* out) {
  out[threadIdx.x] = x[threadIdx.x + 1];  // BUG: when x[32] was never written
}
DVL_EXPORT(uninitialised_global);

extern "C" __global__ void into_the_padding(int* out, int n) {
  out[threadIdx.x == 31 ? n : static_cast<int>(threadIdx.x)] = 1;  // BUG: one past the end, where no page ends
}
DVL_EXPORT(into_the_padding);

extern "C" __global__ void neighbour_array(int* out) {
  DVL_SHARED(int[32], first);
  DVL_SHARED(int[32], second);
  int* p = first;
  first[threadIdx.x] = second[threadIdx.x] = 0;
  __syncthreads();
  out[threadIdx.x] = p[threadIdx.x + 60];  // BUG: from the end of first into second
}
DVL_EXPORT(neighbour_array);

extern "C" __global__ void blocks_write(int* out) {
  if (threadIdx.x == 0) out[0] = blockIdx.x;  // BUG: every block
}
DVL_EXPORT(blocks_write);

extern "C" __global__ void blocks_read(int* out) {
  const int left = out[(blockIdx.x + gridDim.x - 1) % gridDim.x * 32 + threadIdx.x];  // BUG: another block writes it
  out[blockIdx.x * 32 + threadIdx.x] = left + 1;
}
DVL_EXPORT(blocks_read);

extern "C" __global__ void lost_update(int* out) {
  out[0] += 1;  // BUG: not atomic
}
DVL_EXPORT(lost_update);

extern "C" __global__ void global_without_barrier(int* scratch, int* out) {
  scratch[threadIdx.x] = threadIdx.x;
  out[threadIdx.x] = scratch[63 - threadIdx.x];  // BUG: needs __syncthreads, like shared memory
}
DVL_EXPORT(global_without_barrier);

extern "C" __global__ void global_with_barrier(int* scratch, int* out) {
  scratch[threadIdx.x] = threadIdx.x;
  __syncthreads();
  out[threadIdx.x] = scratch[63 - threadIdx.x];
}
DVL_EXPORT(global_with_barrier);

__device__ float4 as_vector(const float* p) { return *reinterpret_cast<const float4*>(p); }  // BUG
extern "C" __global__ void misaligned_float4(float* out) {
  DVL_SHARED(float[68], values);
  values[threadIdx.x] = values[threadIdx.x + 32] = 1.f;
  __syncthreads();
  if (threadIdx.x < 15) out[threadIdx.x] = as_vector(values + threadIdx.x * 4 + 1).x;
}
DVL_EXPORT(misaligned_float4);

extern "C" __global__ void read_in_flight(const float* x, float* out) {
  DVL_SHARED_ALIGNED(16, float[128], tile);
  dvl::cp_async16(&tile[threadIdx.x * 4], x + threadIdx.x * 4);
  dvl::cp_async_commit();
  out[threadIdx.x] = tile[threadIdx.x * 4];  // BUG: one's own copy, before the wait
  dvl::cp_async_wait<0>();
}
DVL_EXPORT(read_in_flight);

extern "C" __global__ void waited_without_barrier(const float* x, float* out) {
  DVL_SHARED_ALIGNED(16, float[128], tile);
  dvl::cp_async16(&tile[threadIdx.x * 4], x + threadIdx.x * 4);
  dvl::cp_async_commit();
  dvl::cp_async_wait<0>();
  out[threadIdx.x] = tile[127 - threadIdx.x * 4];  // BUG: the wait is for one's own copies only
}
DVL_EXPORT(waited_without_barrier);

// The classic ring of two tiles; without the last barrier the next copy overwrites what others still read.
template <bool kBarrier>
__device__ void ring(const float* x, float* out, int tiles) {
  DVL_SHARED_ALIGNED(16, float[2 * 256], tile);
  const auto load = [&](int i) {
    if (i < tiles) dvl::cp_async16(&tile[i % 2 * 256 + threadIdx.x * 4], x + i * 256 + threadIdx.x * 4);  // BUG
    dvl::cp_async_commit();
  };
  float sum = 0;
  load(0);
  for (int i = 0; i < tiles; i++) {
    load(i + 1);
    dvl::cp_async_wait<1>();
    __syncthreads();
    sum += tile[i % 2 * 256 + (threadIdx.x * 37 + 11) % 256];
    if (kBarrier) __syncthreads();
  }
  dvl::cp_async_wait<0>();
  out[threadIdx.x] = sum;
}
extern "C" __global__ void ring_right(const float* x, float* out, int tiles) { ring<true>(x, out, tiles); }
extern "C" __global__ void ring_wrong(const float* x, float* out, int tiles) { ring<false>(x, out, tiles); }
DVL_EXPORT(ring_right);
DVL_EXPORT(ring_wrong);

extern "C" __global__ void two_copies_in_flight(const float* x, float* out) {
  DVL_SHARED_ALIGNED(16, float[128], tile);
  dvl::cp_async16(&tile[threadIdx.x * 4], x);
  dvl::cp_async16(&tile[threadIdx.x * 4], x + 4);  // BUG: which one is last?
  dvl::cp_async_commit();
  dvl::cp_async_wait<0>();
  out[threadIdx.x] = tile[threadIdx.x * 4];
}
DVL_EXPORT(two_copies_in_flight);

extern "C" __global__ void ldmatrix_too_early(uint32_t* out) {
  DVL_SHARED_ALIGNED(16, uint4[32], tile);
  tile[threadIdx.x] = make_uint4(1, 2, 3, 4);
  uint32_t r[4];
  dvl::ldmatrix_x4<false>(r, &tile[threadIdx.x ^ 1]);  // BUG: another lane's row, no barrier
  out[threadIdx.x] = r[0];
}
DVL_EXPORT(ldmatrix_too_early);

__constant__ const int kTable[32] = {3, 1, 4, 1, 5, 9, 2, 6, 5, 3, 5, 8, 9, 7, 9, 3,
                                     2, 3, 8, 4, 6, 2, 6, 4, 3, 3, 8, 3, 2, 7, 9, 5};
extern "C" __global__ void constants(int* out) { out[threadIdx.x] = kTable[out[threadIdx.x] & 31]; }
DVL_EXPORT(constants);

// A byte a thread: neighbours must not be taken for each other.
extern "C" __global__ void bytes(unsigned char* out) {
  DVL_SHARED(unsigned char[64], values);
  values[threadIdx.x] = static_cast<unsigned char>(threadIdx.x);
  out[threadIdx.x] = values[threadIdx.x];
}
DVL_EXPORT(bytes);

// Blocks leave sums, the last one adds them up; the bugs are to write after arriving and to read before.
template <bool kEarly, bool kLate>
__device__ void grid_sum(int* sums, unsigned* counter, int* out) {
  const int blocks = static_cast<int>(gridDim.x), thread = static_cast<int>(threadIdx.x);
  const auto total = [&] {
    int sum = 0;
    for (int b = 0; b < blocks; b++) sum += __ldcg(&sums[b * 32 + thread]);  // BUG
    return sum;
  };
  if (!kLate) sums[blockIdx.x * 32 + threadIdx.x] = thread;
  const int early = kEarly && blockIdx.x == gridDim.x - 1 ? total() : 0;
  const bool last = dvl::last_block(counter, gridDim.x);
  if (kLate) sums[blockIdx.x * 32 + threadIdx.x] = thread;
  if (last) out[thread] = kEarly ? early : total();
}
extern "C" __global__ void grid_sum_right(int* sums, unsigned* counter, int* out) { grid_sum<false, false>(sums, counter, out); }
extern "C" __global__ void grid_sum_early(int* sums, unsigned* counter, int* out) { grid_sum<true, false>(sums, counter, out); }
extern "C" __global__ void grid_sum_late(int* sums, unsigned* counter, int* out) { grid_sum<false, true>(sums, counter, out); }
DVL_EXPORT(grid_sum_right);
DVL_EXPORT(grid_sum_early);
DVL_EXPORT(grid_sum_late);
