// SPDX-License-Identifier: Apache-2.0
// Must not compile for a GPU: more values live at once than 1024 threads per block leave registers for. See SpillTest.
#include "dvl.cuh"

extern "C" __global__ void __launch_bounds__(1024, 2) spill(const float* x, float* out, int n) {
  float value[64];
#pragma unroll
  for (int i = 0; i < 64; i++) value[i] = x[threadIdx.x + i * n];
  for (int step = 0; step < n; step++) {
#pragma unroll
    for (int i = 0; i < 64; i++) value[i] = value[i] * value[(i * 7 + 1) % 64] + float(step);
  }
#pragma unroll
  for (int i = 0; i < 64; i++) out[threadIdx.x + i * n] = value[i];
}
DVL_EXPORT(spill);
