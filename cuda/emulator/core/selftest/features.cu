// SPDX-License-Identifier: Apache-2.0
// Correct kernels, one for each feature of the emulated device.
#include "dvl.cuh"

extern "C" __global__ void scale(const float* x, float* y, int n, float factor) {
  const int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i < n) y[i] = x[i] * factor;
}
DVL_EXPORT(scale);

// Where every thread is: linear ids over a 3-D grid of 3-D blocks.
extern "C" __global__ void coordinates(int* out) {
  const int thread = (threadIdx.z * blockDim.y + threadIdx.y) * blockDim.x + threadIdx.x;
  const int block = (blockIdx.z * gridDim.y + blockIdx.y) * gridDim.x + blockIdx.x;
  const int threads = blockDim.x * blockDim.y * blockDim.z;
  out[block * threads + thread] = threadIdx.x + 10 * threadIdx.y + 100 * threadIdx.z +
                                  1000 * (blockIdx.x + 10 * blockIdx.y + 100 * blockIdx.z);
}
DVL_EXPORT(coordinates);

// Block sum through shared memory; threads also check the votes.
extern "C" __global__ void block_sum(const float* x, float* out, int* votes) {
  DVL_SHARED(float[32], part);
  DVL_SHARED(float, total);
  const int lane = threadIdx.x % 32, warp = threadIdx.x / 32, warps = (blockDim.x + 31) / 32;
  const float sum = dvl::warp_sum(x[blockIdx.x * blockDim.x + threadIdx.x]);
  if (lane == 0) part[warp] = sum;
  __syncthreads();
  if (threadIdx.x == 0) {
    float t = 0;
    for (int i = 0; i < warps; i++) t += part[i];
    total = t;
  }
  __syncthreads();
  if (threadIdx.x == blockDim.x - 1) out[blockIdx.x] = total;
  const int count = __syncthreads_count(threadIdx.x % 3 == 0);
  const int all = __syncthreads_and(threadIdx.x < blockDim.x);
  const int none = __syncthreads_or(threadIdx.x == blockDim.x);
  if (threadIdx.x == 0) votes[blockIdx.x] = count * 4 + all * 2 + none;
}
DVL_EXPORT(block_sum);

template <class T>
__device__ void shuffles(T* out) {
  const int lane = threadIdx.x;
  const T v = static_cast<T>(lane * 3);
  out[lane] = dvl::shuffle(v, 5);
  out[32 + lane] = dvl::shuffle_xor(v, 9);
  out[64 + lane] = dvl::shuffle_up(v, 2);
  out[96 + lane] = dvl::shuffle_down(v, 3);
  out[128 + lane] = __shfl_down_sync(0xffffffffu, v, 3, 8);
  out[160 + lane] = dvl::warp_sum(v);
  out[192 + lane] = dvl::warp_max(v);
  out[224 + lane] = dvl::warp_min<4>(v);
}
extern "C" __global__ void shuffles_int(int* out) { shuffles(out); }
extern "C" __global__ void shuffles_unsigned(unsigned* out) { shuffles(out); }
extern "C" __global__ void shuffles_float(float* out) { shuffles(out); }
extern "C" __global__ void shuffles_double(double* out) { shuffles(out); }
DVL_EXPORT(shuffles_int);
DVL_EXPORT(shuffles_unsigned);
DVL_EXPORT(shuffles_float);
DVL_EXPORT(shuffles_double);

extern "C" __global__ void reductions(unsigned* out) {
  const unsigned lane = threadIdx.x, v = lane * 7 % 32;
  unsigned* o = out + lane * 8;
  o[0] = dvl::ballot(v % 3 == 0);
  o[1] = __reduce_add_sync(~0u, v);
  o[2] = __reduce_max_sync(~0u, v);
  o[3] = static_cast<unsigned>(__reduce_min_sync(~0u, static_cast<int>(v) - 16));
  o[4] = __match_any_sync(~0u, v / 8);
  o[5] = __reduce_xor_sync(~0u, v);
  if (lane < 16) o[6] = __reduce_add_sync(0x0000ffffu, v);  // the halves of a warp on their own
  else o[6] = __reduce_add_sync(0xffff0000u, v);
  o[7] = __any_sync(~0u, v == 40) + 2 * __all_sync(~0u, v < 32);
}
DVL_EXPORT(reductions);

extern "C" __global__ void atomics(int* counters, float* sum, unsigned* ticket) {
  atomicAdd(&counters[0], 1);
  atomicMax(&counters[1], static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x));
  atomicMin(&counters[2], -static_cast<int>(threadIdx.x));
  atomicAdd(sum, 0.5f);
  atomicInc(ticket, 6);
  int seen = counters[3];
  for (int now; (now = atomicCAS(&counters[3], seen, seen + 2)) != seen;) seen = now;
}
DVL_EXPORT(atomics);

// Lane 0 spins until lane 31 has come; and back.
extern "C" __global__ void spin(int* out) {
  DVL_SHARED(int[2], flag);
  if (threadIdx.x < 2) flag[threadIdx.x] = 0;
  __syncthreads();
  if (threadIdx.x < 2) {
    while (atomicAdd(&flag[0], 0) == 0) __nanosleep(20);
    atomicExch(&flag[1], 1);
  } else if (threadIdx.x == 31) {
    atomicExch(&flag[0], 1);
    while (atomicAdd(&flag[1], 0) == 0) __nanosleep(20);
  }
  out[threadIdx.x] = 1;
}
DVL_EXPORT(spin);

// A ring of two tiles filled by cp.async; every third 16-byte piece is zero-filled.
extern "C" __global__ void async_copies(const float* x, float* y, int tiles) {
  DVL_DYN_SHARED(bytes);
  float* ring = reinterpret_cast<float*>(bytes);
  const int pieces = blockDim.x, each = pieces * 4;
  const auto load = [&](int tile) {
    if (tile < tiles)
      dvl::cp_async16(ring + tile % 2 * each + threadIdx.x * 4, x + tile * each + threadIdx.x * 4, threadIdx.x % 3 != 0);
    dvl::cp_async_commit();
  };
  load(0);
  for (int tile = 0; tile < tiles; tile++) {
    load(tile + 1);
    dvl::cp_async_wait<1>();
    __syncthreads();
    const float* from = ring + tile % 2 * each;
    for (int i = threadIdx.x; i < each; i += blockDim.x) y[tile * each + i] = from[each - 1 - i];
    __syncthreads();
  }
}
DVL_EXPORT(async_copies);

// out[lane][4] = ldmatrix of 32 rows of 8 elements
template <bool kTransposed>
__device__ void load_tiles(const uint4* rows, uint32_t* out) {
  DVL_SHARED_ALIGNED(16, uint4[32], tile);
  const int lane = threadIdx.x;
  tile[lane] = rows[lane];
  __syncthreads();
  uint32_t r[4];
  dvl::ldmatrix_x4<kTransposed>(r, &tile[lane]);
  for (int i = 0; i < 4; i++) out[lane * 4 + i] = r[i];
}
extern "C" __global__ void ldmatrix_plain(const uint4* rows, uint32_t* out) { load_tiles<false>(rows, out); }
extern "C" __global__ void ldmatrix_transposed(const uint4* rows, uint32_t* out) { load_tiles<true>(rows, out); }
DVL_EXPORT(ldmatrix_plain);
DVL_EXPORT(ldmatrix_transposed);

// d[16][8] = a[16][16] b[16][8] + c[16][8], fragments read element by element
template <class T>
__device__ void multiply(const T* a, const T* b, const float* c, float* d) {
  const int lane = threadIdx.x, g = lane / 4, t = lane % 4 * 2;
  const auto pair = [](T low, T high) { return dvl::pack_pair<T>(dvl::to_float(low), dvl::to_float(high)); };
  const auto at = [&](int row, int column) { return pair(a[row * 16 + column], a[row * 16 + column + 1]); };
  const uint32_t fragment[4] = {at(g, t), at(g + 8, t), at(g, t + 8), at(g + 8, t + 8)};
  const uint32_t b0 = pair(b[t * 8 + g], b[(t + 1) * 8 + g]), b1 = pair(b[(t + 8) * 8 + g], b[(t + 9) * 8 + g]);
  float sum[4] = {c[g * 8 + t], c[g * 8 + t + 1], c[(g + 8) * 8 + t], c[(g + 8) * 8 + t + 1]};
  dvl::mma<T>(sum, fragment, b0, b1);
  d[g * 8 + t] = sum[0];
  d[g * 8 + t + 1] = sum[1];
  d[(g + 8) * 8 + t] = sum[2];
  d[(g + 8) * 8 + t + 1] = sum[3];
}
extern "C" __global__ void mma(const bf16* a, const bf16* b, const float* c, float* d) { multiply(a, b, c, d); }
extern "C" __global__ void mma_f16(const f16* a, const f16* b, const float* c, float* d) { multiply(a, b, c, d); }
DVL_EXPORT(mma);
DVL_EXPORT(mma_f16);

// The vector helpers at every width; the sum of what was loaded is stored in both types.
template <class T, int N>
__device__ void copy_vector(const T* x, T* y) {
  float v[N];
  dvl::load(x + threadIdx.x * N, v);
  dvl::store(y + threadIdx.x * N, v);
}
extern "C" __global__ void vectors(const bf16* x, bf16* y, const float* u, float* v) {
  copy_vector<bf16, 2>(x, y);
  copy_vector<bf16, 4>(x + 64, y + 64);
  copy_vector<bf16, 8>(x + 192, y + 192);
  copy_vector<bf16, 16>(x + 448, y + 448);
  copy_vector<float, 1>(u, v);
  copy_vector<float, 2>(u + 32, v + 32);
  copy_vector<float, 4>(u + 96, v + 96);
  copy_vector<float, 8>(u + 224, v + 224);
}
DVL_EXPORT(vectors);

struct alignas(64) Wide {
  int value[32];
};
// Arguments of every size, also by value, as the host gave them at the launch.
extern "C" __global__ void arguments(char a, double b, Wide wide, short c, unsigned long long d, double* out) {
  if (threadIdx.x == 0) out[0] = a + b + wide.value[0] + wide.value[31] + c + static_cast<double>(d);
}
DVL_EXPORT(arguments);

// A thread's sum over a bit of everything: equal for any number of workers and any order.
extern "C" __global__ void mixed(const float* x, float* out, int n) {
  DVL_SHARED(float[256], tile);
  float sum = 0;
  for (int start = 0; start < n; start += blockDim.x) {
    tile[threadIdx.x] = x[(start + threadIdx.x + blockIdx.x) % n];
    __syncthreads();
    sum = fmaf(sum, 0.75f, dvl::warp_sum(tile[(threadIdx.x * 7 + 3) % blockDim.x]));
    __syncthreads();
  }
  out[blockIdx.x * blockDim.x + threadIdx.x] = sum;
}
DVL_EXPORT(mixed);

// Nothing but collectives, for the time of a switch.
extern "C" __global__ void switches(float* out, int what, int n) {
  DVL_SHARED_ALIGNED(16, bf16[64 * 72], tile);
  for (int i = threadIdx.x; i < 64 * 72; i += blockDim.x) tile[i] = dvl::from_float<bf16>(1.f);
  __syncthreads();
  float v = threadIdx.x, d[4] = {};
  uint32_t a[4] = {1, 2, 3, 4}, r[4];
  for (int i = 0; i < n; i++) {
    if (what == 0) __syncwarp();
    else if (what == 1) v += dvl::shuffle_xor(v, 1);
    else if (what == 2) dvl::mma<bf16>(d, a, 5, 6);
    else if (what == 3) dvl::ldmatrix_x4<false>(r, tile + threadIdx.x % 32 * 72), v += r[0];
    else if (what == 4) __syncthreads();
  }
  out[blockIdx.x * blockDim.x + threadIdx.x] = v + d[0];
}
DVL_EXPORT(switches);
