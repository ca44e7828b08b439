// SPDX-License-Identifier: Apache-2.0
// Every thread sorts a row of 24 numbers in an array of its own
constexpr int kRow = 24;
extern "C" __global__ void local_sort(unsigned short* rows, int n) {
  const int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i >= n) return;
  unsigned short row[kRow];
  for (int k = 0; k < kRow; k++) row[k] = rows[i * kRow + k];
  for (int k = 1; k < kRow; k++) {
    const unsigned short value = row[k];
    int at = k;
    for (; at > 0 && row[at - 1] > value; at--) row[at] = row[at - 1];
    row[at] = value;
  }
  for (int k = 0; k < kRow; k++) rows[i * kRow + k] = row[k];
}
