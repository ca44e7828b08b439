// SPDX-License-Identifier: Apache-2.0
// Constant memory, and variables of the module with initial values
__constant__ float coefficients[5] = {1.0f, -0.5f, 0.25f, 2.0f, -3.0f};
__constant__ short steps[4] = {3, -1, 4, 1};
__device__ double scale = 0.125;
__device__ unsigned launches = 41;
__device__ const float* const polynomial = coefficients;
extern "C" __global__ void constants(const float* x, double* y, int n, unsigned* launch) {
  const int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i == 0) *launch = atomicAdd(&launches, 1u) + 1;
  if (i >= n) return;
  float sum = 0;
  for (int k = 4; k >= 0; k--) sum = sum * x[i] + polynomial[k];
  y[i] = scale * sum + steps[i % 4];
}
