// SPDX-License-Identifier: Apache-2.0
// The sum of n numbers: a tree in shared memory per block, one atomic per block. Start with *sum = 0 and a power of two of threads.
extern "C" __global__ void reduction(const float* x, float* sum, int n) {
  extern __shared__ float partial[];
  float mine = 0;
  for (int i = blockIdx.x * blockDim.x + threadIdx.x; i < n; i += gridDim.x * blockDim.x) mine += x[i];
  partial[threadIdx.x] = mine;
  __syncthreads();
  for (int half = blockDim.x / 2; half > 0; half /= 2) {
    if (threadIdx.x < half) partial[threadIdx.x] += partial[threadIdx.x + half];
    __syncthreads();
  }
  if (threadIdx.x == 0) atomicAdd(sum, partial[0]);
}
