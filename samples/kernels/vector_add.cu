// SPDX-License-Identifier: Apache-2.0
// sum = x + y: a program's own kernel, outside of this library. vector_add.ptx is the same by hand; `make -C cuda module
// SOURCE=samples/kernels/vector_add.cu` makes the host module that the emulated device runs.
#include "dvl.cuh"

extern "C" __global__ void vector_add(const float* x, const float* y, float* sum, int n) {
  const int i = int(blockIdx.x) * int(blockDim.x) + int(threadIdx.x);
  if (i < n) sum[i] = x[i] + y[i];
}
DVL_EXPORT(vector_add);
