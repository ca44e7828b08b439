// SPDX-License-Identifier: Apache-2.0
// One kernel for each group of wrappers in dvl.cuh. All data are 32-bit words, 32 threads per block; what a GPU answers, the emulated
// device must answer too (docs/proving-kernels.md). Tests only.
#include "dvl.cuh"

namespace {

__device__ __forceinline__ float as_float(unsigned bits) { return __uint_as_float(bits); }
__device__ __forceinline__ unsigned bits_of(float value) { return __float_as_uint(value); }

// in: a[4], b[2], c[4] of each lane; out: d[4]
template <class T>
__device__ __forceinline__ void multiply(const unsigned* in, unsigned* out) {
  const unsigned* const own = in + (blockIdx.x * 32 + threadIdx.x) * 10;
  const uint32_t a[4] = {own[0], own[1], own[2], own[3]};
  float d[4];
#pragma unroll
  for (int i = 0; i < 4; i++) d[i] = as_float(own[6 + i]);
  dvl::mma<T>(d, a, own[4], own[5]);
#pragma unroll
  for (int i = 0; i < 4; i++) out[(blockIdx.x * 32 + threadIdx.x) * 4 + i] = bits_of(d[i]);
}

}  // namespace

extern "C" __global__ void __launch_bounds__(32) conformance_mma(const unsigned* in, unsigned* out) { multiply<bf16>(in, out); }
DVL_EXPORT(conformance_mma);
extern "C" __global__ void __launch_bounds__(32) conformance_mma_f16(const unsigned* in, unsigned* out) { multiply<f16>(in, out); }
DVL_EXPORT(conformance_mma_f16);

// in: four tiles of 8 rows of 16 bytes; out: the plain fragments [lane][4], then the transposed ones
extern "C" __global__ void __launch_bounds__(32) conformance_ldmatrix(const unsigned* in, unsigned* out) {
  DVL_SHARED_ALIGNED(16, uint4[32], rows);
  rows[threadIdx.x] = reinterpret_cast<const uint4*>(in)[threadIdx.x];
  __syncthreads();
  uint32_t plain[4], transposed[4];
  dvl::ldmatrix_x4<false>(plain, &rows[threadIdx.x]);
  dvl::ldmatrix_x4<true>(transposed, &rows[threadIdx.x]);
#pragma unroll
  for (int i = 0; i < 4; i++) {
    out[threadIdx.x * 4 + i] = plain[i];
    out[128 + threadIdx.x * 4 + i] = transposed[i];
  }
}
DVL_EXPORT(conformance_ldmatrix);

// in: 16 bytes per lane; every third lane copies zeros instead, every second by the copy that streams
extern "C" __global__ void __launch_bounds__(32) conformance_cp_async(const unsigned* in, unsigned* out) {
  DVL_SHARED_ALIGNED(16, uint4[32], tile);
  const uint4* const from = reinterpret_cast<const uint4*>(in) + threadIdx.x;
  tile[threadIdx.x] = make_uint4(1, 2, 3, 4);
  if (threadIdx.x % 2 == 0) dvl::cp_async16(&tile[threadIdx.x], from, threadIdx.x % 3 != 0);
  else dvl::cp_async16_once(&tile[threadIdx.x], from, threadIdx.x % 3 != 0);
  dvl::cp_async_commit();
  dvl::cp_async_wait<0>();
  __syncthreads();
  reinterpret_cast<uint4*>(out)[threadIdx.x] = tile[31 - threadIdx.x];
}
DVL_EXPORT(conformance_cp_async);

namespace {

// in: a float; out: rounded to T, that as a float, and it packed with its negative
template <class T>
__device__ __forceinline__ void convert(const unsigned* in, unsigned* out) {
  const int at = blockIdx.x * 32 + threadIdx.x;
  const float value = as_float(in[at]);
  const T rounded = dvl::from_float<T>(value);
  out[at * 4] = *reinterpret_cast<const uint16_t*>(&rounded);
  out[at * 4 + 1] = bits_of(dvl::to_float(rounded));
  out[at * 4 + 2] = dvl::pack_pair<T>(value, -value);
  out[at * 4 + 3] = bits_of(dvl::round_to<T>(value));
}

}  // namespace

extern "C" __global__ void __launch_bounds__(32) conformance_bf16(const unsigned* in, unsigned* out) { convert<bf16>(in, out); }
DVL_EXPORT(conformance_bf16);
extern "C" __global__ void __launch_bounds__(32) conformance_f16(const unsigned* in, unsigned* out) { convert<f16>(in, out); }
DVL_EXPORT(conformance_f16);

// in: a word; out: from lane 5, from lane ^ 9, from 3 below, from 7 above, and the ballot of the lowest bit
extern "C" __global__ void __launch_bounds__(32) conformance_shuffle(const unsigned* in, unsigned* out) {
  const int at = blockIdx.x * 32 + threadIdx.x;
  const unsigned value = in[at];
  out[at * 5] = dvl::shuffle(value, 5);
  out[at * 5 + 1] = dvl::shuffle_xor(value, 9);
  out[at * 5 + 2] = dvl::shuffle_up(value, 3);
  out[at * 5 + 3] = dvl::shuffle_down(value, 7);
  out[at * 5 + 4] = dvl::ballot((value & 1) != 0);
}
DVL_EXPORT(conformance_shuffle);

// in: a float; out: sums over groups of 32, 8 and 2, maximum and minimum of all, maximum over 4
extern "C" __global__ void __launch_bounds__(32) conformance_reduce(const unsigned* in, unsigned* out) {
  const int at = blockIdx.x * 32 + threadIdx.x;
  const float value = as_float(in[at]);
  out[at * 6] = bits_of(dvl::warp_sum(value));
  out[at * 6 + 1] = bits_of(dvl::warp_sum<8>(value));
  out[at * 6 + 2] = bits_of(dvl::warp_sum<2>(value));
  out[at * 6 + 3] = bits_of(dvl::warp_max(value));
  out[at * 6 + 4] = bits_of(dvl::warp_min(value));
  out[at * 6 + 5] = bits_of(dvl::warp_max<4>(value));
}
DVL_EXPORT(conformance_reduce);

// in: two floats; out: quotient, rounded product, fused multiply-add with 1 (all exact), maximum and minimum (NaN: the other one)
extern "C" __global__ void __launch_bounds__(32) conformance_arithmetic(const unsigned* in, unsigned* out) {
  const int at = blockIdx.x * 32 + threadIdx.x;
  const float a = as_float(in[at * 2]), b = as_float(in[at * 2 + 1]);
  out[at * 5] = bits_of(a / b);
  out[at * 5 + 1] = bits_of(__fmul_rn(a, b));
  out[at * 5 + 2] = bits_of(__fmaf_rn(a, b, 1.f));
  out[at * 5 + 3] = bits_of(max(a, b));
  out[at * 5 + 4] = bits_of(min(a, b));
}
DVL_EXPORT(conformance_arithmetic);

// in: a float; out: 2^x by exp2_fast, e^x, 1 / sqrt |x|, tanh, erf: good to a few units in the last place
extern "C" __global__ void __launch_bounds__(32) conformance_functions(const unsigned* in, unsigned* out) {
  const int at = blockIdx.x * 32 + threadIdx.x;
  const float x = as_float(in[at]);
  out[at * 5] = bits_of(dvl::exp2_fast(x));
  out[at * 5 + 1] = bits_of(expf(x));
  out[at * 5 + 2] = bits_of(rsqrtf(fabsf(x)));
  out[at * 5 + 3] = bits_of(tanhf(x));
  out[at * 5 + 4] = bits_of(erff(x));
}
DVL_EXPORT(conformance_functions);
