// SPDX-License-Identifier: Apache-2.0
// arch: compute_89
// Small matrix products: wmma in f16, and mma by inline assembly in integers, f64, tf32 and 8-bit floats
#include <cuda_fp8.h>
#include <mma.h>
using namespace nvcuda;

// C = 2 A B of 16 x 16, and once more in sums of f16, by columns
extern "C" __global__ void tensor_cores(const half* a, const half* b, float* c, half* h) {
  wmma::fragment<wmma::matrix_a, 16, 16, 16, half, wmma::row_major> fa;
  wmma::fragment<wmma::matrix_b, 16, 16, 16, half, wmma::col_major> fb;
  wmma::fragment<wmma::accumulator, 16, 16, 16, float> fc;
  wmma::fragment<wmma::accumulator, 16, 16, 16, half> fh;
  wmma::fill_fragment(fc, 0.f);
  wmma::load_matrix_sync(fa, a, 16);
  wmma::load_matrix_sync(fb, b, 16);
  wmma::mma_sync(fc, fa, fb, fc);
  for (int i = 0; i < fc.num_elements; i++) {
    fc.x[i] *= 2;
    fh.x[i] = __float2half(fc.x[i]);
  }
  wmma::store_matrix_sync(c, fc, 16, wmma::mem_row_major);
  wmma::store_matrix_sync(h, fh, 16, wmma::mem_col_major);
}

// A is 16 x 32 by rows, B 32 x 8 by columns, C 16 x 8: in s8 to C[0], the same bytes as e4m3 to C[1]
extern "C" __global__ void bytes(const unsigned* a, const unsigned* b, int* c, float* f) {
  const int g = threadIdx.x / 4, q = threadIdx.x % 4;
  const unsigned a0 = a[g * 8 + q], a1 = a[(g + 8) * 8 + q], a2 = a[g * 8 + q + 4], a3 = a[(g + 8) * 8 + q + 4];
  const unsigned b0 = b[g * 8 + q], b1 = b[g * 8 + q + 4];
  int d[4] = {};
  float e[4] = {};
  asm volatile("mma.sync.aligned.m16n8k32.row.col.s32.s8.s8.s32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
               : "+r"(d[0]), "+r"(d[1]), "+r"(d[2]), "+r"(d[3]) : "r"(a0), "r"(a1), "r"(a2), "r"(a3), "r"(b0), "r"(b1));
  asm volatile("mma.sync.aligned.m16n8k32.row.col.f32.e4m3.e4m3.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
               : "+f"(e[0]), "+f"(e[1]), "+f"(e[2]), "+f"(e[3]) : "r"(a0), "r"(a1), "r"(a2), "r"(a3), "r"(b0), "r"(b1));
  for (int i = 0; i < 4; i++) {
    c[(g + i / 2 * 8) * 8 + 2 * q + i % 2] = d[i];
    f[(g + i / 2 * 8) * 8 + 2 * q + i % 2] = e[i];
  }
}

// A is 8 x 4 by rows, B 4 x 8 by columns: C in f64; and of A as 16 x 8 and B as 8 x 8 in tf32
extern "C" __global__ void reals(const double* a, const double* b, double* c, const float* x, const float* y, float* z) {
  const int g = threadIdx.x / 4, q = threadIdx.x % 4;
  asm volatile("mma.sync.aligned.m8n8k4.row.col.f64.f64.f64.f64 {%0,%1}, {%2}, {%3}, {%4,%4};"
               : "=d"(c[g * 8 + 2 * q]), "=d"(c[g * 8 + 2 * q + 1]) : "d"(a[g * 4 + q]), "d"(b[g * 4 + q]), "d"(0.0));
  unsigned r[6];
  const float v[6] = {x[g * 8 + q], x[(g + 8) * 8 + q], x[g * 8 + q + 4], x[(g + 8) * 8 + q + 4], y[g * 8 + q], y[g * 8 + q + 4]};
  for (int i = 0; i < 6; i++) asm("cvt.rna.tf32.f32 %0, %1;" : "=r"(r[i]) : "f"(v[i]));
  float d[4] = {};
  asm volatile("mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
               : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3]) : "r"(r[0]), "r"(r[1]), "r"(r[2]), "r"(r[3]), "r"(r[4]), "r"(r[5]));
  for (int i = 0; i < 4; i++) z[(g + i / 2 * 8) * 8 + 2 * q + i % 2] = d[i];
}

// To the nearest e4m3 and e5m2, and back
extern "C" __global__ void floats8(const float* x, float* e4m3, float* e5m2) {
  e4m3[threadIdx.x] = static_cast<float>(__nv_fp8_e4m3(x[threadIdx.x]));
  e5m2[threadIdx.x] = static_cast<float>(__nv_fp8_e5m2(x[threadIdx.x]));
}
