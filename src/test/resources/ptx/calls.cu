// SPDX-License-Identifier: Apache-2.0
// Functions that stay functions: by name, recursive, by address, with a struct and with a pointer to a local variable
struct Pair {
  long long a;
  int b[3];
};
__device__ __noinline__ Pair next(Pair p, int* calls) {
  *calls += 1;
  Pair q;
  q.a = p.a + p.b[0];
  for (int i = 0; i < 3; i++) q.b[i] = p.b[(i + 1) % 3] + i;
  return q;
}
__device__ __noinline__ unsigned ackermann(unsigned m, unsigned n) {
  return m == 0 ? n + 1 : n == 0 ? ackermann(m - 1, 1) : ackermann(m - 1, ackermann(m, n - 1));
}
__device__ __noinline__ long long twice(long long x) { return 2 * x; }
__device__ __noinline__ long long square(long long x) { return x * x; }
__device__ __noinline__ long long minus_one(long long x) { return x - 1; }
using Function = long long (*)(long long);
__device__ Function functions[3] = {twice, square, minus_one};
extern "C" __global__ void calls(long long* out, int n) {
  const int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i >= n) return;
  Pair p = {i, {i, 2 * i, 3}};
  int count = 0;
  for (int k = 0; k < i % 5; k++) p = next(p, &count);
  out[i] = functions[i % 3](p.a) * 1000 + ackermann(i % 3, i % 4) * 10 + count;
}
