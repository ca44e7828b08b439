// SPDX-License-Identifier: Apache-2.0
// Kernels with one bug each that both builds of the emulated device must report. The tests look for the first line with the
// word BUG at or after the head of the kernel: that is the line a report must name.
#include "dvl.cuh"

extern "C" __global__ void missing_barrier(float* out) {
  DVL_SHARED(float[64], values);
  values[threadIdx.x] = 1.f;
  out[threadIdx.x] = values[63 - threadIdx.x];  // BUG: no __syncthreads between
}
DVL_EXPORT(missing_barrier);

extern "C" __global__ void divergent_barrier(float* out) {
  if (threadIdx.x < 32) __syncthreads();  // BUG: only the first warp
  out[threadIdx.x] = 1.f;
}
DVL_EXPORT(divergent_barrier);

extern "C" __global__ void two_barriers(float* out) {
  if (threadIdx.x % 2) __syncthreads(); else __syncthreads();  // BUG: on one line, even
  out[threadIdx.x] = 1.f;
}
DVL_EXPORT(two_barriers);

extern "C" __global__ void early_exit(float* out, int n) {
  if (static_cast<int>(threadIdx.x) >= n) return;
  __syncthreads();  // BUG: some threads are gone
  out[threadIdx.x] = 1.f;
}
DVL_EXPORT(early_exit);

extern "C" __global__ void deadlock(float* out) {
  if (threadIdx.x < 16) __syncthreads();  // BUG: half a warp waits for the block, ...
  else __syncwarp();                      // ... the other half for the warp
  out[threadIdx.x] = 1.f;
}
DVL_EXPORT(deadlock);

extern "C" __global__ void divergent_shuffle(int* out) {
  int v = threadIdx.x;
  if (v < 16) v = dvl::shuffle_xor(v, 1);      // full mask, half a warp
  else v = __ballot_sync(0xffffffffu, v & 1);  // BUG: the other half is elsewhere
  out[threadIdx.x] = v;
}
DVL_EXPORT(divergent_shuffle);

extern "C" __global__ void bad_mask(int* out) {
  out[threadIdx.x] = __shfl_sync(0x0000ffffu, static_cast<int>(threadIdx.x), 0);  // BUG: lanes 16.. are not in the mask
}
DVL_EXPORT(bad_mask);

extern "C" __global__ void shuffle_from_outsider(int* out) {
  if (threadIdx.x < 16) out[threadIdx.x] = __shfl_sync(0x0000ffffu, static_cast<int>(threadIdx.x), 20);  // BUG
}
DVL_EXPORT(shuffle_from_outsider);

extern "C" __global__ void divergent_mma(float* out) {
  float d[4] = {};
  const uint32_t a[4] = {};
  if (threadIdx.x < 16) dvl::mma<bf16>(d, a, 0, 0);  // BUG: half a warp
  out[threadIdx.x] = d[0];
}
DVL_EXPORT(divergent_mma);

extern "C" __global__ void misaligned_ldmatrix(uint32_t* out) {
  DVL_SHARED_ALIGNED(16, bf16[40 * 8], tile);
  for (int i = threadIdx.x; i < 320; i += 32) tile[i] = dvl::from_float<bf16>(1.f);
  __syncthreads();
  uint32_t r[4];
  dvl::ldmatrix_x4<false>(r, tile + threadIdx.x * 8 + 4);  // BUG: 8 bytes off
  out[threadIdx.x] = r[0];
}
DVL_EXPORT(misaligned_ldmatrix);

extern "C" __global__ void ldmatrix_outside(uint32_t* out) {
  DVL_SHARED_ALIGNED(16, uint4[31], tile);
  if (threadIdx.x < 31) tile[threadIdx.x] = make_uint4(0, 0, 0, 0);
  __syncthreads();
  uint32_t r[4];
  dvl::ldmatrix_x4<false>(r, reinterpret_cast<char*>(tile) + threadIdx.x * 16);  // BUG: one row too many
  out[threadIdx.x] = r[0];
}
DVL_EXPORT(ldmatrix_outside);

extern "C" __global__ void copy_never_waited(const float* x, float* out) {
  DVL_SHARED_ALIGNED(16, float[128], tile);
  dvl::cp_async16(&tile[threadIdx.x * 4], x + threadIdx.x * 4);  // BUG: may still be under way when the block has ended
  dvl::cp_async_commit();
  __syncthreads();
  out[threadIdx.x] = 1.f;
}
DVL_EXPORT(copy_never_waited);

// out must be x; group is how many groups may be in flight at the only wait: 0 is right
template <int kGroups>
__device__ void copy_wait(const float* x, float* out) {
  DVL_SHARED_ALIGNED(16, float[128], tile);
  dvl::cp_async16(&tile[threadIdx.x * 4], x + threadIdx.x * 4);
  dvl::cp_async_commit();
  dvl::cp_async_wait<kGroups>();
  __syncthreads();
  out[threadIdx.x] = tile[threadIdx.x];
  dvl::cp_async_wait<0>();
}
extern "C" __global__ void copy_waited(const float* x, float* out) { copy_wait<0>(x, out); }
extern "C" __global__ void copy_weak_wait(const float* x, float* out) { copy_wait<1>(x, out); }  // BUG
DVL_EXPORT(copy_waited);
DVL_EXPORT(copy_weak_wait);

extern "C" __global__ void copy_no_commit(const float* x, float* out) {
  DVL_SHARED_ALIGNED(16, float[128], tile);
  dvl::cp_async16(&tile[threadIdx.x * 4], x + threadIdx.x * 4);
  dvl::cp_async_wait<0>();  // BUG: the copy belongs to no group yet
  __syncthreads();
  out[threadIdx.x] = tile[threadIdx.x];
  dvl::cp_async_commit();
  dvl::cp_async_wait<0>();
}
DVL_EXPORT(copy_no_commit);

extern "C" __global__ void copy_misaligned(const float* x, float* out) {
  DVL_SHARED_ALIGNED(16, float[132], tile);
  dvl::cp_async16(&tile[threadIdx.x * 4 + 1], x);  // BUG
  out[threadIdx.x] = 1.f;
}
DVL_EXPORT(copy_misaligned);

extern "C" __global__ void copy_illegal_source(const float* x, float* out) {
  DVL_SHARED_ALIGNED(16, float[128], tile);
  dvl::cp_async16(&tile[threadIdx.x * 4], x + threadIdx.x * 4 + 128);  // BUG: behind the end of x
  dvl::cp_async_commit();
  dvl::cp_async_wait<0>();
  out[threadIdx.x] = 1.f;
}
DVL_EXPORT(copy_illegal_source);

extern "C" __global__ void red_zone(float* out, int index) {
  DVL_SHARED(float[32], values);
  float* p = values;
  p[threadIdx.x] = 1.f;
  if (threadIdx.x == 0) p[index] = 2.f;  // BUG for index >= 32: through a pointer, so no compiler sees the bound
  __syncthreads();
  out[threadIdx.x] = p[threadIdx.x];
}
DVL_EXPORT(red_zone);

extern "C" __global__ void dynamic_too_small(int* out) {
  DVL_DYN_SHARED(bytes);
  int* p = reinterpret_cast<int*>(bytes);
  p[threadIdx.x] = 1;  // BUG when launched with less than blockDim.x ints
  __syncthreads();
  out[threadIdx.x] = p[threadIdx.x];
}
DVL_EXPORT(dynamic_too_small);

extern "C" __global__ void too_much_static(float* out) {
  DVL_SHARED(float[10000], a);
  DVL_SHARED(float[10000], b);  // BUG: more than 48 KiB together
  a[threadIdx.x] = b[threadIdx.x] = 1.f;
  out[threadIdx.x] = a[threadIdx.x];
}
DVL_EXPORT(too_much_static);

extern "C" __global__ void read_outside(const float* x, float* out, long offset) { out[threadIdx.x] = x[offset]; }  // BUG
extern "C" __global__ void write_outside(float* out, long offset) { out[offset] = 1.f; }  // BUG
DVL_EXPORT(read_outside);
DVL_EXPORT(write_outside);

extern "C" __global__ void misaligned_vector(const float* x, float* out) {
  float v[4];
  dvl::load(x + 1, v);  // BUG
  out[threadIdx.x] = v[0];
}
DVL_EXPORT(misaligned_vector);

extern "C" __global__ void local_bound(int* out) {
  int a[8];
  for (int i = 0; i < 8; i++) a[i] = i;
  out[threadIdx.x] = a[threadIdx.x & 15];  // BUG: 8..15
}
DVL_EXPORT(local_bound);

extern "C" __global__ void overflow(int* out, int n) { out[threadIdx.x] = n * n; }  // BUG
extern "C" __global__ void divide(int* out, int n) { out[threadIdx.x] = 7 / n; }  // BUG
DVL_EXPORT(overflow);
DVL_EXPORT(divide);

__device__ __attribute__((noinline)) int deep(int n, volatile int* sink) {
  volatile char frame[1024];
  frame[n % 1024] = static_cast<char>(n);
  if (n > 1000) return frame[0];
  return deep(n + 1, sink) + frame[n % 1024];
}
extern "C" __global__ void stack_overflow(int* out) { out[threadIdx.x] = deep(0, out); }  // BUG: a megabyte of frames
DVL_EXPORT(stack_overflow);

extern "C" __global__ void spin_forever(int* flag) {
  while (atomicAdd(flag, 0) == 0) __nanosleep(1);  // BUG: nobody sets it
}
DVL_EXPORT(spin_forever);

extern "C" __global__ void trapped(int* out) {
  if (threadIdx.x == 3) __trap();  // BUG
  out[threadIdx.x] = 1;
}
DVL_EXPORT(trapped);
