// SPDX-License-Identifier: Apache-2.0
// A machine with one register: every thread runs the program on its own number. The switch becomes a table of branches.
extern "C" __global__ void interpreter(const int* program, int length, int* x, int n) {
  const int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i >= n) return;
  int r = x[i];
  for (int at = 0; at < length; at++) {
    const int op = program[at] & 15, value = program[at] >> 4;
    switch (op == 15 ? i % 12 : op) {
      case 0: r += value; break;
      case 1: r -= value; break;
      case 2: r *= value; break;
      case 3: r = value ? r / value : 0; break;
      case 4: r = value ? r % value : 0; break;
      case 5: r ^= value; break;
      case 6: r = r << (value & 7); break;
      case 7: r = r >> (value & 7); break;
      case 8: r = -r; break;
      case 9: r = __popc(r); break;
      case 10: r = __brev(r); break;
      case 11: r = max(r, value); break;
      default: return;
    }
  }
  x[i] = r;
}
