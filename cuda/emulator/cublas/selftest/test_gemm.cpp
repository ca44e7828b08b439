// SPDX-License-Identifier: Apache-2.0
// Values of the matrix product, against a plain product in double.
#include <cmath>
#include <random>

#include "../../core/bfloat16.h"
#include "../../core/float16.h"
#include "cublas_api.h"

using namespace selftest;

namespace {

std::mt19937 generator(12345);

float round_to(int type, float x) {
  if (type == F16) return emu::f16_to_float(emu::f16_from_float(x));
  return type == F32 ? x : emu::bf16_to_float(emu::bf16_from_float(x));
}

// Random numbers that the type can hold
std::vector<float> random_values(size_t count, int type) {
  std::normal_distribution<float> normal;
  std::vector<float> result(count);
  for (float& x : result) x = round_to(type, normal(generator));
  return result;
}

CUdeviceptr put(const std::vector<float>& values, int type) {
  if (type == F32) return upload(values);
  if (type == F16) {
    std::vector<emu::f16> narrow;
    for (float x : values) narrow.push_back(emu::f16_from_float(x));
    return upload(narrow);
  }
  std::vector<emu::bf16> narrow;
  for (float x : values) narrow.push_back(emu::bf16_from_float(x));
  return upload(narrow);
}

std::vector<float> get(CUdeviceptr from, size_t count, int type) {
  if (type == F32) return download<float>(from, count);
  std::vector<float> result;
  if (type == F16) {
    for (emu::f16 x : download<emu::f16>(from, count)) result.push_back(emu::f16_to_float(x));
    return result;
  }
  for (emu::bf16 x : download<emu::bf16>(from, count)) result.push_back(emu::bf16_to_float(x));
  return result;
}

template <class X> X* pointer(CUdeviceptr address) { return reinterpret_cast<X*>(address); }

struct Case {
  int op_a, op_b, m, n, k, type, type_c, gap; // gap: how much the leading dimensions exceed the rows
  float alpha, beta;
};

// The number of elements that are further off than their rounding allows, plus those in the gaps that changed
int wrong_elements(cublasHandle handle, const Case& c) {
  int lda = (c.op_a == N ? c.m : c.k) + c.gap, ldb = (c.op_b == N ? c.k : c.n) + c.gap, ldc = c.m + c.gap;
  std::vector<float> a = random_values(size_t(lda) * (c.op_a == N ? c.k : c.m), c.type);
  std::vector<float> b = random_values(size_t(ldb) * (c.op_b == N ? c.n : c.k), c.type);
  std::vector<float> before = random_values(size_t(ldc) * c.n, c.type_c);
  CUdeviceptr da = put(a, c.type), db = put(b, c.type), dc = put(before, c.type_c);
  int status = cublasGemmEx(handle, c.op_a, c.op_b, c.m, c.n, c.k, &c.alpha, pointer<void>(da), c.type, lda,
                            pointer<void>(db), c.type, ldb, &c.beta, pointer<void>(dc), c.type_c, ldc, COMPUTE_32F, -1);
  CHECK_EQUAL(status, 0);
  std::vector<float> after = get(dc, before.size(), c.type_c);
  for (CUdeviceptr p : {da, db, dc}) cuMemFree_v2(p);

  int wrong = 0;
  for (int j = 0; j < c.n; j++) {
    for (int i = 0; i < ldc; i++) {
      size_t at = size_t(j) * ldc + i;
      if (i >= c.m) {
        wrong += after[at] != before[at];
        continue;
      }
      double sum = 0, size = 0;
      for (int p = 0; p < c.k; p++) {
        double x = c.op_a == N ? a[size_t(p) * lda + i] : a[size_t(i) * lda + p];
        double y = c.op_b == N ? b[size_t(j) * ldb + p] : b[size_t(p) * ldb + j];
        sum += x * y;
        size += std::fabs(x * y);
      }
      double expected = c.alpha * sum + c.beta * before[at];
      double allowed = 1e-6 * (size + std::fabs(c.beta * before[at]) + 1e-3);
      if (c.type_c == BF16) allowed += std::fabs(expected) / 256;
      if (c.type_c == F16) allowed += std::fabs(expected) / 2048 + 3e-8;
      wrong += !(std::fabs(after[at] - expected) <= allowed);
    }
  }
  return wrong;
}

} // namespace

TEST(cublas_all_operand_orders) {
  OwnContext context;
  OwnBlas blas;
  struct Size {
    int m, n, k;
  } sizes[] = {{1, 1, 1}, {8, 8, 8}, {16, 6, 256}, {17, 7, 257}, {63, 5, 30}, {100, 13, 300}, {65, 250, 40},
             {130, 9, 600}};
  struct Types {
    int ab, c;
  } types[] = {{F32, F32}, {BF16, BF16}, {BF16, F32}, {F16, F16}, {F16, F32}};
  for (Size s : sizes) {
    for (Types t : types) {
      for (int ops = 0; ops < 4; ops++) {
        int gap = ops == 3 ? 5 : 0;
        float alpha = ops == 1 ? 0.5f : 1, beta = ops == 0 ? 0 : ops == 1 ? -0.75f : 1;
        CHECK_EQUAL(wrong_elements(blas, {ops & 1, ops >> 1, s.m, s.n, s.k, t.ab, t.c, gap, alpha, beta}), 0);
      }
    }
  }
}

TEST(cublas_same_bits_for_every_width) {
  OwnContext context;
  OwnBlas blas;
  constexpr int M = 70, K = 700, WIDEST = 40;
  CUdeviceptr a = put(random_values(M * K, BF16), BF16), b = put(random_values(WIDEST * K, BF16), BF16);
  CUdeviceptr c = allocate(M * WIDEST * 4);
  float one = 1, zero = 0;
  std::vector<float> widest;
  for (int n = WIDEST; n >= 1; n--) {
    CHECK_EQUAL(cublasGemmEx(blas, T, N, M, n, K, &one, pointer<void>(a), BF16, K, pointer<void>(b), BF16, K, &zero,
                             pointer<void>(c), F32, M, COMPUTE_32F, -1),
                0);
    std::vector<float> now = download<float>(c, size_t(M) * n);
    if (n == WIDEST) widest = now;
    CHECK(std::memcmp(now.data(), widest.data(), now.size() * 4) == 0);
  }
}

TEST(cublas_special_values) {
  OwnContext context;
  OwnBlas blas;
  float one = 1, zero = 0;
  CUdeviceptr x = upload(std::vector<float>{2}), y = upload(std::vector<float>{NAN});
  auto product = [&](float* alpha, float* beta, int k) {
    CHECK_EQUAL(cublasSgemm_v2(blas, N, N, 1, 1, k, alpha, pointer<float>(x), 1, pointer<float>(x), 1, beta,
                               pointer<float>(y), 1),
                0);
    return download<float>(y, 1)[0];
  };
  CHECK_EQUAL(product(&one, &zero, 1), 4.f); // beta 0: the old NaN is not read
  CHECK_EQUAL(product(&one, &one, 1), 8.f);
  CHECK_EQUAL(product(&one, &one, 0), 8.f); // nothing to add
  CHECK_EQUAL(product(&zero, &zero, 1), 0.f);
  cuMemcpyHtoD_v2(x, std::vector<float>{INFINITY}.data(), 4);
  CHECK(std::isinf(product(&one, &zero, 1)));
}

TEST(cublas_batches) {
  OwnContext context;
  OwnBlas blas;
  constexpr int M = 20, COLUMNS = 7, K = 33, COUNT = 3;
  std::vector<float> a = random_values(M * K * COUNT, F32), b = random_values(K * COLUMNS * COUNT, F32);
  CUdeviceptr da = upload(a), db = upload(b);
  CUdeviceptr dc = allocate(M * COLUMNS * COUNT * 4), dd = allocate(M * COLUMNS * COUNT * 4);
  CUdeviceptr single = allocate(M * COLUMNS * 4);
  float one = 1, zero = 0;
  CHECK_EQUAL(cublasGemmStridedBatchedEx(blas, N, N, M, COLUMNS, K, &one, pointer<void>(da), F32, M, M * K,
                                         pointer<void>(db), F32, K, 0 /* the same B for all */, &zero,
                                         pointer<void>(dc), F32, M, M * COLUMNS, COUNT, COMPUTE_32F, -1),
              0);
  std::vector<CUdeviceptr> pa, pb, pc;
  for (int i = 0; i < COUNT; i++) {
    pa.push_back(da + i * M * K * 4);
    pb.push_back(db);
    pc.push_back(dd + i * M * COLUMNS * 4);
  }
  CUdeviceptr dpa = upload(pa), dpb = upload(pb), dpc = upload(pc);
  CHECK_EQUAL(cublasGemmBatchedEx(blas, N, N, M, COLUMNS, K, &one, pointer<const void*>(dpa), F32, M,
                                  pointer<const void*>(dpb), F32, K, &zero, pointer<void*>(dpc), F32, M, COUNT,
                                  COMPUTE_32F, -1),
              0);
  std::vector<float> strided = download<float>(dc, M * COLUMNS * COUNT);
  CHECK(strided == download<float>(dd, M * COLUMNS * COUNT));
  for (int i = 0; i < COUNT; i++) {
    CHECK_EQUAL(cublasSgemm_v2(blas, N, N, M, COLUMNS, K, &one, pointer<float>(pa[i]), M, pointer<float>(db), K, &zero,
                               pointer<float>(single), M),
                0);
    std::vector<float> alone = download<float>(single, M * COLUMNS);
    CHECK(std::memcmp(alone.data(), strided.data() + i * M * COLUMNS, alone.size() * 4) == 0);
  }
}
