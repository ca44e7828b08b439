// SPDX-License-Identifier: Apache-2.0
// arch: compute_120
// What an interpreter gets wrong: 128-bit division, labels of inline assembly, shared addresses below zero (sm_120), device memory by new
#include <cooperative_groups.h>

// Quotient and remainder of 77 p / q
extern "C" __global__ void oddities(const long long* p, const long long* q, long long* quotient, long long* remainder) {
  const int i = threadIdx.x;
  const __int128 product = static_cast<__int128>(p[i]) * 77;
  quotient[2 * i] = static_cast<long long>(product / q[i]);
  quotient[2 * i + 1] = static_cast<long long>(product / q[i] >> 64);
  remainder[i] = static_cast<long long>(product % q[i]);
}

__device__ __forceinline__ int triangle(int n) {
  int sum;
  asm volatile("{\n  .reg .pred p;\n  .reg .s32 t;\n  mov.s32 t, %1;\n  mov.s32 %0, 0;\nLOOP:\n  setp.le.s32 p, t, 0;\n  @p bra DONE;\n"
               "  add.s32 %0, %0, t;\n  sub.s32 t, t, 1;\n  bra LOOP;\nDONE:\n}" : "=&r"(sum) : "r"(n));
  return sum;
}
extern "C" __global__ void triangles(int* x) { x[threadIdx.x] = triangle(x[threadIdx.x]) - 3 * triangle(threadIdx.x); }

// The second half of the block reads what the first half has written.
extern "C" __global__ void halves(const int* x, int* y) {
  __shared__ int s[64];
  const int t = threadIdx.x;
  if (t < 64) s[t] = 3 * x[t];
  __syncthreads();
  y[t] = t < 64 ? s[63 - t] : s[t - 64] + x[t];
}

struct Shape {
  __device__ virtual int area() const = 0;
  __device__ virtual ~Shape() {}
};
struct Square : Shape {
  int a;
  __device__ Square(int a) : a(a) {}
  __device__ int area() const override { return a * a; }
};
struct Rectangle : Shape {
  int a, b;
  __device__ Rectangle(int a, int b) : a(a), b(b) {}
  __device__ int area() const override { return a * b; }
};
extern "C" __global__ void shapes(const int* x, int* y) {
  const int t = threadIdx.x;
  Shape* shape = t % 3 ? static_cast<Shape*>(new Square(x[t])) : new Rectangle(x[t], t);
  y[t] = shape->area();
  delete shape;
}

// Sums over 64 threads, two warps
extern "C" __global__ void tiles(const int* x, int* y) {
  namespace cg = cooperative_groups;
  __shared__ cg::block_tile_memory<128> memory;
  auto tile = cg::tiled_partition<64>(cg::this_thread_block(memory));
  y[threadIdx.x] = tile.shfl(x[threadIdx.x], 5) + tile.any(x[threadIdx.x] == 7);
}

// Parameters that are no pointer, int or float
struct Pair {
  short a;
  double b;
};
extern "C" __global__ void parameters(double d, Pair p, unsigned char c, double* y) { y[threadIdx.x] = d * threadIdx.x + p.a * p.b + c; }
