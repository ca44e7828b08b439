// SPDX-License-Identifier: Apache-2.0
// The last node of a loop in a graph: counts the iteration and says whether there is another.
//
// Shape   remaining i32 [1], iterations i32 [1].
// Idea    one thread; a graph that loops on the device needs no word with the host between denoising steps.
#include "dvl.cuh"

extern "C" __global__ void __launch_bounds__(32)
    loop_condition(unsigned long long handle, const int* remaining, int* iterations, int limit) {
  if (threadIdx.x != 0) return;
  const int done = *iterations + 1;
  *iterations = done;
  dvl::set_condition(handle, *remaining > 0 && done < limit);
}
DVL_EXPORT(loop_condition);
