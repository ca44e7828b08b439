// SPDX-License-Identifier: Apache-2.0
// 256-bit numbers of four words: the sum, the difference, and the upper word of the product of the lowest words
extern "C" __global__ void wide_integers(const unsigned long long* a, const unsigned long long* b, unsigned long long* sum,
                                         unsigned long long* difference, unsigned long long* high, int n) {
  const int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i >= n) return;
  const unsigned long long *x = a + 4 * i, *y = b + 4 * i;
  unsigned long long s[4], d[4];
  asm("add.cc.u64 %0, %4, %8;\n\taddc.cc.u64 %1, %5, %9;\n\taddc.cc.u64 %2, %6, %10;\n\taddc.u64 %3, %7, %11;"
      : "=l"(s[0]), "=l"(s[1]), "=l"(s[2]), "=l"(s[3])
      : "l"(x[0]), "l"(x[1]), "l"(x[2]), "l"(x[3]), "l"(y[0]), "l"(y[1]), "l"(y[2]), "l"(y[3]));
  asm("sub.cc.u64 %0, %4, %8;\n\tsubc.cc.u64 %1, %5, %9;\n\tsubc.cc.u64 %2, %6, %10;\n\tsubc.u64 %3, %7, %11;"
      : "=l"(d[0]), "=l"(d[1]), "=l"(d[2]), "=l"(d[3])
      : "l"(x[0]), "l"(x[1]), "l"(x[2]), "l"(x[3]), "l"(y[0]), "l"(y[1]), "l"(y[2]), "l"(y[3]));
  for (int k = 0; k < 4; k++) sum[4 * i + k] = s[k], difference[4 * i + k] = d[k];
  const unsigned __int128 product = (unsigned __int128)x[0] * y[0] + x[1];
  high[i] = (unsigned long long)(product >> 64);
}
