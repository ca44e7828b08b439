// SPDX-License-Identifier: Apache-2.0
// One warp per row of 32 numbers: running sums by shuffles, the lanes with an odd number, the lanes with the same number, the largest number
extern "C" __global__ void warp_scan(const int* x, int* sums, unsigned* odd, unsigned* same, int* largest) {
  const int i = blockIdx.x * blockDim.x + threadIdx.x, lane = threadIdx.x % 32;
  const int value = x[i];
  int sum = value;
  for (int step = 1; step < 32; step *= 2) {
    const int other = __shfl_up_sync(0xffffffffu, sum, step);
    if (lane >= step) sum += other;
  }
  sums[i] = sum;
  odd[i] = __ballot_sync(0xffffffffu, value & 1);
  same[i] = __match_any_sync(0xffffffffu, value);
  int most = value;
  for (int step = 16; step > 0; step /= 2) most = max(most, __shfl_xor_sync(0xffffffffu, most, step));
  // Half of the warp takes another way, and meets with a mask of its own.
  if (lane < 16) most += __shfl_sync(0x0000ffffu, value, 3);
  else most -= __shfl_down_sync(0xffff0000u, value, 4, 16);
  largest[i] = most;
}
