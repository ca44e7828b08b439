// SPDX-License-Identifier: Apache-2.0
// y = a x + y in pairs of f16
#include <cuda_fp16.h>
extern "C" __global__ void half_axpy(float a, const __half2* x, __half2* y, int pairs) {
  const int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i < pairs) y[i] = __hfma2(__float2half2_rn(a), x[i], y[i]);
}
