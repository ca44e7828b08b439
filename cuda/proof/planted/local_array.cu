// SPDX-License-Identifier: Apache-2.0
// Must not compile for a GPU: an array indexed at run time lives in local memory. See SpillTest.
#include "dvl.cuh"

extern "C" __global__ void __launch_bounds__(128) local_array(const int* index, float* out, int n) {
  float count[32] = {};
  for (int i = threadIdx.x; i < n; i += 128) count[index[i] & 31] += 1.f;
  for (int i = 0; i < 32; i++) out[threadIdx.x * 32 + i] = count[i];
}
DVL_EXPORT(local_array);
