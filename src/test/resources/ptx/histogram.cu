// SPDX-License-Identifier: Apache-2.0
// How often each byte occurs: atomics in shared memory per block, then in global memory
extern "C" __global__ void histogram(const unsigned char* bytes, unsigned* count, int n) {
  __shared__ unsigned mine[256];
  for (int i = threadIdx.x; i < 256; i += blockDim.x) mine[i] = 0;
  __syncthreads();
  for (int i = blockIdx.x * blockDim.x + threadIdx.x; i < n; i += gridDim.x * blockDim.x) atomicAdd(&mine[bytes[i]], 1u);
  __syncthreads();
  for (int i = threadIdx.x; i < 256; i += blockDim.x)
    if (mine[i]) atomicAdd(&count[i], mine[i]);
}
