// SPDX-License-Identifier: Apache-2.0
// The matrix products of cuBLAS: arguments checked, then run in (or captured from) the handle's stream.
#include <algorithm>
#include <cstdio>
#include <cstring>
#include <string>

#include "../core/core.h"
#include "gemm_kernel.h"
#include "handle.h"
#include "worker_pool.h"

namespace emu::blas {
namespace {

using gemm::Problem;

enum DataType : int { CUDA_R_32F = 0, CUDA_R_16F = 2, CUDA_R_16BF = 14 };
enum Operation : int { OP_N = 0, OP_T = 1, OP_C = 2 };
// The first is the old encoding of the compute type, a data type.
enum ComputeType : int { COMPUTE_OLD_R_32F = 0, COMPUTE_32F = 68, COMPUTE_32F_PEDANTIC = 69 };

struct Matrix {
  const char* name;
  const void* data; // with an array of pointers: that array
  int type;
  int64_t ld;
  int64_t stride = 0; // from one product to the next, elements
  int64_t rows = 0, columns = 0; // as stored
};

struct Request {
  const char* call;
  int op_a, op_b;
  int64_t m, n, k;
  const void* alpha;
  const void* beta;
  Matrix a, b, c;
  int64_t products = 1;
  bool pointer_arrays = false; // a, b, c.data are arrays (on the device) of pointers to the matrices
  int compute = COMPUTE_32F;
};

bool is_operation(int op) { return op >= OP_N && op <= OP_C; }
gemm::Type type_of(const Matrix& matrix) {
  return matrix.type == CUDA_R_32F ? gemm::Type::F32 : matrix.type == CUDA_R_16F ? gemm::Type::F16 : gemm::Type::BF16;
}
size_t element(const Matrix& matrix) { return gemm::size_of(type_of(matrix)); }

// bytes from the first element to the end of the last one
size_t extent(const Matrix& matrix) {
  if (!matrix.rows || !matrix.columns) return 0;
  return size_t((matrix.columns - 1) * matrix.ld + matrix.rows) * element(matrix);
}

cublasStatus_t check_arguments(Request& r) {
  if (!is_operation(r.op_a) || !is_operation(r.op_b) || r.m < 0 || r.n < 0 || r.k < 0 || r.products < 0) {
    return CUBLAS_STATUS_INVALID_VALUE;
  }
  r.a.rows = r.op_a == OP_N ? r.m : r.k;
  r.a.columns = r.op_a == OP_N ? r.k : r.m;
  r.b.rows = r.op_b == OP_N ? r.k : r.n;
  r.b.columns = r.op_b == OP_N ? r.n : r.k;
  r.c.rows = r.m;
  r.c.columns = r.n;
  for (const Matrix* x : {&r.a, &r.b, &r.c}) {
    if (x->ld < std::max<int64_t>(1, x->rows) || x->stride < 0) return CUBLAS_STATUS_INVALID_VALUE;
  }
  if (!r.alpha || !r.beta) return CUBLAS_STATUS_INVALID_VALUE;
  // cuBLAS has products of bf16 into bf16 or f32, of f16 likewise, and of f32 into f32, among those with f32 accumulation.
  bool types = (r.a.type == CUDA_R_16BF || r.a.type == CUDA_R_16F || r.a.type == CUDA_R_32F) &&
               (r.c.type == r.a.type || r.c.type == CUDA_R_32F);
  bool compute = r.compute == COMPUTE_32F || r.compute == COMPUTE_32F_PEDANTIC || r.compute == COMPUTE_OLD_R_32F;
  if (types && compute && r.a.type == r.b.type) return CUBLAS_STATUS_SUCCESS;
  complain("%s: types A %d, B %d, C %d with compute type %d are not supported", r.call, r.a.type, r.b.type, r.c.type,
           r.compute);
  return CUBLAS_STATUS_NOT_SUPPORTED;
}

// What is wrong with the memory of a matrix, or "".
std::string memory_problem(const Request& r, const Matrix& matrix, const void* data, size_t bytes) {
  if (!bytes || driver::reachable_by_device(data, bytes)) return "";
  char text[256];
  std::snprintf(text, sizeof text,
                "%s: %s [%lld x %lld], leading dimension %lld, %zu bytes at %p: not inside one live device allocation",
                r.call, matrix.name, (long long)matrix.rows, (long long)matrix.columns, (long long)matrix.ld, bytes,
                data);
  return text;
}

std::string memory_problem(const Request& r) {
  for (const Matrix* x : {&r.a, &r.b, &r.c}) {
    if (x != &r.c && r.k == 0) continue;
    if (!r.pointer_arrays) {
      size_t bytes = extent(*x);
      if (bytes) bytes += size_t((r.products - 1) * x->stride) * element(*x);
      std::string problem = memory_problem(r, *x, x->data, bytes);
      if (!problem.empty()) return problem;
      continue;
    }
    std::string problem = memory_problem(r, *x, x->data, size_t(r.products) * sizeof(void*));
    if (!problem.empty()) return problem + " (array of pointers)";
    auto pointers = static_cast<const void* const*>(x->data);
    for (int64_t i = 0; i < r.products; i++) {
      problem = memory_problem(r, *x, pointers[i], extent(*x));
      if (!problem.empty()) return problem;
    }
  }
  return "";
}

const void* product(const Request& r, const Matrix& matrix, int64_t index) {
  if (r.pointer_arrays) return static_cast<const void* const*>(matrix.data)[index];
  return static_cast<const char*>(matrix.data) + size_t(index * matrix.stride) * element(matrix);
}

// Tells the core which bytes of C have been written, column by column where there are gaps.
void note_written(const Request& r, char* c) {
  size_t column = size_t(r.m) * element(r.c), step = size_t(r.c.ld) * element(r.c);
  bool dense = r.c.ld == r.m;
  for (int64_t j = 0; j < (dense ? 1 : r.n); j++) {
    size_t bytes = dense ? column * size_t(r.n) : column;
    if (emu::device_range(c + size_t(j) * step, bytes)) emu::device_written(c + size_t(j) * step, bytes);
  }
}

// A line for the journal: the sizes, and a hash (FNV-1a) of every bit of the result.
void note(const Request& r) {
  uint64_t hash = 0xcbf29ce484222325;
  for (int64_t i = 0; i < r.products; i++) {
    auto c = static_cast<const unsigned char*>(product(r, r.c, i));
    for (int64_t j = 0; j < r.n; j++) {
      for (size_t at = 0; at < size_t(r.m) * element(r.c); at++) {
        hash = (hash ^ c[size_t(j * r.c.ld) * element(r.c) + at]) * 0x100000001b3;
      }
    }
  }
  char line[256];
  std::snprintf(line, sizeof line, "%s ops %d %d m %lld n %lld k %lld products %lld result %016llx", r.call, r.op_a, r.op_b,
                (long long)r.m, (long long)r.n, (long long)r.k, (long long)r.products, (unsigned long long)hash);
  emu::add_to_journal(line);
}

void execute(const Request& r, float alpha, float beta) {
  for (int64_t i = 0; i < r.products; i++) {
    char* c = static_cast<char*>(const_cast<void*>(product(r, r.c, i)));
    Problem problem = {r.m, r.n, r.k, r.op_a != OP_N, r.op_b != OP_N, product(r, r.a, i), product(r, r.b, i), c,
                       r.a.ld, r.b.ld, r.c.ld, type_of(r.a), type_of(r.c), alpha, beta};
    gemm::multiply(problem, parallel_for);
    note_written(r, c);
  }
  if (emu::journal_kept()) note(r);
}

float load_scalar(const void* p) {
  float value;
  std::memcpy(&value, p, sizeof value);
  return value;
}

cublasStatus_t status_of(const Request& r, CUresult result) {
  switch (result) {
  case CUDA_SUCCESS: return CUBLAS_STATUS_SUCCESS;
  case CUDA_ERROR_OUT_OF_MEMORY: return CUBLAS_STATUS_ALLOC_FAILED;
  case CUDA_ERROR_NOT_INITIALIZED: return CUBLAS_STATUS_NOT_INITIALIZED;
  case CUDA_ERROR_INVALID_HANDLE: complain("%s: the handle's stream is not a live stream", r.call); break;
  case CUDA_ERROR_INVALID_CONTEXT: complain("%s: the handle or its stream belongs to another context", r.call); break;
  default: break;
  }
  return CUBLAS_STATUS_EXECUTION_FAILED;
}

cublasStatus_t gemm_call(cublasHandle_t handle, Request r) {
  Settings settings;
  if (!find_handle(handle, settings)) return CUBLAS_STATUS_NOT_INITIALIZED;
  if (cublasStatus_t error = check_arguments(r)) return error;
  if (r.m == 0 || r.n == 0 || r.products == 0) return CUBLAS_STATUS_SUCCESS;

  bool on_device = settings.pointer_mode == POINTER_MODE_DEVICE; // then alpha and beta are read when the product runs
  float alpha = on_device ? 0 : load_scalar(r.alpha), beta = on_device ? 0 : load_scalar(r.beta);
  auto check = [&]() -> CUresult {
    std::string problem = memory_problem(r);
    if (problem.empty() && on_device && !(driver::reachable_by_device(r.alpha, sizeof(float)) &&
                                          driver::reachable_by_device(r.beta, sizeof(float)))) {
      problem = std::string(r.call) + ": alpha or beta is not in device memory, which the pointer mode asks for";
    }
    if (problem.empty()) return CUDA_SUCCESS;
    complain("%s", problem.c_str());
    return CUDA_ERROR_INVALID_VALUE;
  };
  auto body = [r, alpha, beta, on_device](bool replay) -> CUresult {
    std::string problem = replay ? memory_problem(r) : ""; // memory may be gone by the time of a replay
    if (!problem.empty()) {
      emu::add_report("graph launch: " + problem);
      return CUDA_ERROR_ILLEGAL_ADDRESS;
    }
    if (on_device) execute(r, load_scalar(r.alpha), load_scalar(r.beta));
    else execute(r, alpha, beta);
    return CUDA_SUCCESS;
  };
  return status_of(r, driver::submit_to_stream(settings.context, settings.stream, check, body));
}

} // namespace
} // namespace emu::blas

using namespace emu::blas;

// Each function exists with 32-bit and, by the suffix _64, with 64-bit sizes.
#define BOTH_WIDTHS(define) define(, int) define(_64, int64_t)

#define GEMM_EX(suffix, Int)                                                                                           \
  CUDA_API cublasStatus_t cublasGemmEx##suffix(                                                                        \
      cublasHandle_t handle, int op_a, int op_b, Int m, Int n, Int k, const void* alpha, const void* a, int type_a,    \
      Int lda, const void* b, int type_b, Int ldb, const void* beta, void* c, int type_c, Int ldc, int compute, int) { \
    return gemm_call(handle, {"cublasGemmEx", op_a, op_b, m, n, k, alpha, beta, {"A", a, type_a, lda},                 \
                              {"B", b, type_b, ldb}, {"C", c, type_c, ldc}, 1, false, compute});                       \
  }
BOTH_WIDTHS(GEMM_EX)

#define GEMM_STRIDED_BATCHED_EX(suffix, Int)                                                                           \
  CUDA_API cublasStatus_t cublasGemmStridedBatchedEx##suffix(                                                          \
      cublasHandle_t handle, int op_a, int op_b, Int m, Int n, Int k, const void* alpha, const void* a, int type_a,    \
      Int lda, long long stride_a, const void* b, int type_b, Int ldb, long long stride_b, const void* beta, void* c,  \
      int type_c, Int ldc, long long stride_c, Int count, int compute, int) {                                          \
    return gemm_call(handle, {"cublasGemmStridedBatchedEx", op_a, op_b, m, n, k, alpha, beta,                          \
                              {"A", a, type_a, lda, stride_a}, {"B", b, type_b, ldb, stride_b},                        \
                              {"C", c, type_c, ldc, stride_c}, count, false, compute});                                \
  }
BOTH_WIDTHS(GEMM_STRIDED_BATCHED_EX)

#define GEMM_BATCHED_EX(suffix, Int)                                                                                   \
  CUDA_API cublasStatus_t cublasGemmBatchedEx##suffix(                                                                 \
      cublasHandle_t handle, int op_a, int op_b, Int m, Int n, Int k, const void* alpha, const void* const* a,         \
      int type_a, Int lda, const void* const* b, int type_b, Int ldb, const void* beta, void* const* c, int type_c,    \
      Int ldc, Int count, int compute, int) {                                                                          \
    return gemm_call(handle, {"cublasGemmBatchedEx", op_a, op_b, m, n, k, alpha, beta, {"A", a, type_a, lda},          \
                              {"B", b, type_b, ldb}, {"C", c, type_c, ldc}, count, true, compute});                    \
  }
BOTH_WIDTHS(GEMM_BATCHED_EX)

#define SGEMM_EX(suffix, Int)                                                                                          \
  CUDA_API cublasStatus_t cublasSgemmEx##suffix(                                                                       \
      cublasHandle_t handle, int op_a, int op_b, Int m, Int n, Int k, const float* alpha, const void* a, int type_a,   \
      Int lda, const void* b, int type_b, Int ldb, const float* beta, void* c, int type_c, Int ldc) {                  \
    return gemm_call(handle, {"cublasSgemmEx", op_a, op_b, m, n, k, alpha, beta, {"A", a, type_a, lda},                \
                              {"B", b, type_b, ldb}, {"C", c, type_c, ldc}});                                          \
  }
BOTH_WIDTHS(SGEMM_EX)

#define SGEMM(suffix, Int)                                                                                             \
  CUDA_API cublasStatus_t cublasSgemm_v2##suffix(                                                                      \
      cublasHandle_t handle, int op_a, int op_b, Int m, Int n, Int k, const float* alpha, const float* a, Int lda,     \
      const float* b, Int ldb, const float* beta, float* c, Int ldc) {                                                 \
    return gemm_call(handle, {"cublasSgemm", op_a, op_b, m, n, k, alpha, beta, {"A", a, CUDA_R_32F, lda},              \
                              {"B", b, CUDA_R_32F, ldb}, {"C", c, CUDA_R_32F, ldc}});                                  \
  }
BOTH_WIDTHS(SGEMM)

#define SGEMM_STRIDED_BATCHED(suffix, Int)                                                                             \
  CUDA_API cublasStatus_t cublasSgemmStridedBatched##suffix(                                                           \
      cublasHandle_t handle, int op_a, int op_b, Int m, Int n, Int k, const float* alpha, const float* a, Int lda,     \
      long long stride_a, const float* b, Int ldb, long long stride_b, const float* beta, float* c, Int ldc,           \
      long long stride_c, Int count) {                                                                                 \
    return gemm_call(handle, {"cublasSgemmStridedBatched", op_a, op_b, m, n, k, alpha, beta,                           \
                              {"A", a, CUDA_R_32F, lda, stride_a}, {"B", b, CUDA_R_32F, ldb, stride_b},                \
                              {"C", c, CUDA_R_32F, ldc, stride_c}, count});                                            \
  }
BOTH_WIDTHS(SGEMM_STRIDED_BATCHED)
