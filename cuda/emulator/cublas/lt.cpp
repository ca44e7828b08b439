// SPDX-License-Identifier: Apache-2.0
// The part of cublasLt that this project calls: D = epilogue(alpha * op(A) * op(B)), beta = 0, with a bias along D's rows and GELU. In
// NVIDIA's build these functions are in libcublasLt, which libcublas depends on; looked up through libcublas they are found in both.
#include <cmath>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "../bfloat16.h"
#include "../core.h"
#include "gemm_kernel.h"
#include "handle.h"
#include "worker_pool.h"

namespace emu::blas {
namespace {

enum DataType : int { CUDA_R_32F = 0, CUDA_R_16BF = 14 };
enum Attribute : int { TRANSA = 3, TRANSB = 4, EPILOGUE = 7, BIAS_POINTER = 8 };
enum Epilogue : int { EPILOGUE_NONE = 1, EPILOGUE_BIAS = 4, EPILOGUE_GELU = 32, EPILOGUE_GELU_BIAS = 36 };
constexpr int COMPUTE_32F = 68;

struct MatmulDesc {
  int transpose_a = 0, transpose_b = 0, epilogue = EPILOGUE_NONE;
  const void* bias = nullptr;
};

struct Layout {
  int type;
  uint64_t rows, columns;
  int64_t ld;
};

struct HeuristicResult {
  uint64_t algorithm[8];
  size_t workspace;
  cublasStatus_t state;
  float waves;
  int reserved[4];
};
static_assert(sizeof(HeuristicResult) == 96, "cublasLt's ABI");

size_t element(int type) { return type == CUDA_R_32F ? 4 : 2; }
size_t extent(const Layout& x) { return ((x.columns - 1) * uint64_t(x.ld) + x.rows) * element(x.type); }
bool known(int type) { return type == CUDA_R_32F || type == CUDA_R_16BF; }
bool has_bias(const MatmulDesc& d) { return d.epilogue == EPILOGUE_BIAS || d.epilogue == EPILOGUE_GELU_BIAS; }
bool has_gelu(const MatmulDesc& d) { return d.epilogue == EPILOGUE_GELU || d.epilogue == EPILOGUE_GELU_BIAS; }

float load(const void* p, int type, size_t i) {
  return type == CUDA_R_32F ? static_cast<const float*>(p)[i] : bf16_to_float(static_cast<const bf16*>(p)[i]);
}

float gelu(float x) { return 0.5f * x * (1.f + std::tanh(0.7978845608f * (x + 0.044715f * x * x * x))); }

cublasStatus_t check(const MatmulDesc& d, const Layout& a, const Layout& b, const Layout& out) {
  uint64_t m = d.transpose_a ? a.columns : a.rows, k = d.transpose_a ? a.rows : a.columns;
  uint64_t n = d.transpose_b ? b.rows : b.columns, inner = d.transpose_b ? b.columns : b.rows;
  if (!m || !n || !k || k != inner || out.rows != m || out.columns != n) return CUBLAS_STATUS_INVALID_VALUE;
  for (const Layout* x : {&a, &b, &out}) {
    if (x->ld < int64_t(x->rows)) return CUBLAS_STATUS_INVALID_VALUE;
  }
  bool types = a.type == b.type && (out.type == a.type || out.type == CUDA_R_32F);
  return types ? CUBLAS_STATUS_SUCCESS : CUBLAS_STATUS_NOT_SUPPORTED;
}

struct Request {
  MatmulDesc desc;
  Layout a_layout, b_layout, d_layout;
  const void *a, *b;
  void* d;
  float alpha;

  std::string problem() const {
    auto inside = [](const void* p, size_t bytes) { return driver::reachable_by_device(p, bytes); };
    if (!inside(a, extent(a_layout))) return "cublasLtMatmul: A is not inside one live device allocation";
    if (!inside(b, extent(b_layout))) return "cublasLtMatmul: B is not inside one live device allocation";
    if (!inside(d, extent(d_layout))) return "cublasLtMatmul: D is not inside one live device allocation";
    if (has_bias(desc) && !inside(desc.bias, d_layout.rows * element(d_layout.type))) {
      return "cublasLtMatmul: the bias is not inside one live device allocation";
    }
    return "";
  }

  void execute() const {
    size_t m = d_layout.rows, n = d_layout.columns;
    std::vector<float> sums(m * n);
    gemm::Type type = a_layout.type == CUDA_R_32F ? gemm::Type::F32 : gemm::Type::BF16;
    int64_t k = int64_t(desc.transpose_a ? a_layout.rows : a_layout.columns);
    gemm::multiply({int64_t(m), int64_t(n), k, desc.transpose_a != 0, desc.transpose_b != 0, a, b, sums.data(), a_layout.ld, b_layout.ld,
                    int64_t(m), type, gemm::Type::F32, alpha, 0.f},
                   parallel_for);
    for (size_t j = 0; j < n; j++) {
      for (size_t i = 0; i < m; i++) {
        float x = sums[j * m + i];
        if (has_bias(desc)) x += load(desc.bias, d_layout.type, i);
        if (has_gelu(desc)) x = gelu(x);
        size_t at = j * size_t(d_layout.ld) + i;
        if (d_layout.type == CUDA_R_32F) static_cast<float*>(d)[at] = x;
        else static_cast<bf16*>(d)[at] = bf16_from_float(x);
      }
      char* column = static_cast<char*>(d) + j * size_t(d_layout.ld) * element(d_layout.type);
      emu::device_written(column, m * element(d_layout.type));
    }
  }
};

// Handles of cublasLt are plain pointers to what they name; these here stay valid until they are destroyed.
template <class T> T* at(void* handle) { return static_cast<T*>(handle); }

} // namespace
} // namespace emu::blas

using namespace emu::blas;

CUDA_API cublasStatus_t cublasLtCreate(void** handle) {
  return handle ? (*handle = new char, CUBLAS_STATUS_SUCCESS) : CUBLAS_STATUS_INVALID_VALUE;
}
CUDA_API cublasStatus_t cublasLtDestroy(void* handle) {
  delete static_cast<char*>(handle);
  return CUBLAS_STATUS_SUCCESS;
}

CUDA_API cublasStatus_t cublasLtMatmulDescCreate(void** desc, int compute, int scale) {
  if (!desc) return CUBLAS_STATUS_INVALID_VALUE;
  if (compute != COMPUTE_32F || scale != CUDA_R_32F) return CUBLAS_STATUS_NOT_SUPPORTED;
  *desc = new MatmulDesc;
  return CUBLAS_STATUS_SUCCESS;
}
CUDA_API cublasStatus_t cublasLtMatmulDescDestroy(void* desc) {
  delete at<MatmulDesc>(desc);
  return CUBLAS_STATUS_SUCCESS;
}
CUDA_API cublasStatus_t cublasLtMatmulDescSetAttribute(void* handle, int attribute, const void* value, size_t bytes) {
  MatmulDesc* desc = at<MatmulDesc>(handle);
  if (!desc || !value || bytes != (attribute == BIAS_POINTER ? sizeof(void*) : sizeof(int))) return CUBLAS_STATUS_INVALID_VALUE;
  int number = 0;
  std::memcpy(&number, value, sizeof number);
  switch (attribute) {
  case TRANSA:
  case TRANSB:
    if (number < 0 || number > 2) return CUBLAS_STATUS_INVALID_VALUE;
    (attribute == TRANSA ? desc->transpose_a : desc->transpose_b) = number;
    return CUBLAS_STATUS_SUCCESS;
  case EPILOGUE:
    if (number != EPILOGUE_NONE && number != EPILOGUE_BIAS && number != EPILOGUE_GELU && number != EPILOGUE_GELU_BIAS) {
      emu::complain("cublasLt: epilogue %d is not supported", number);
      return CUBLAS_STATUS_NOT_SUPPORTED;
    }
    desc->epilogue = number;
    return CUBLAS_STATUS_SUCCESS;
  case BIAS_POINTER:
    std::memcpy(&desc->bias, value, sizeof desc->bias);
    return CUBLAS_STATUS_SUCCESS;
  default:
    emu::complain("cublasLt: attribute %d of a product is not supported", attribute);
    return CUBLAS_STATUS_NOT_SUPPORTED;
  }
}

CUDA_API cublasStatus_t cublasLtMatrixLayoutCreate(void** layout, int type, uint64_t rows, uint64_t columns, int64_t ld) {
  if (!layout) return CUBLAS_STATUS_INVALID_VALUE;
  if (!known(type)) return CUBLAS_STATUS_NOT_SUPPORTED;
  *layout = new Layout{type, rows, columns, ld};
  return CUBLAS_STATUS_SUCCESS;
}
CUDA_API cublasStatus_t cublasLtMatrixLayoutDestroy(void* layout) {
  delete at<Layout>(layout);
  return CUBLAS_STATUS_SUCCESS;
}

// There is one algorithm, which needs no workspace and no alignment.
CUDA_API cublasStatus_t cublasLtMatmulPreferenceCreate(void** preference) { return cublasLtCreate(preference); }
CUDA_API cublasStatus_t cublasLtMatmulPreferenceDestroy(void* preference) { return cublasLtDestroy(preference); }
CUDA_API cublasStatus_t cublasLtMatmulPreferenceSetAttribute(void* preference, int, const void* value, size_t) {
  return preference && value ? CUBLAS_STATUS_SUCCESS : CUBLAS_STATUS_INVALID_VALUE;
}
CUDA_API cublasStatus_t cublasLtMatmulAlgoGetHeuristic(void*, void* desc, void* a, void* b, void*, void* d, void*, int wanted,
                                                       HeuristicResult* results, int* count) {
  if (!desc || !a || !b || !d || wanted < 1 || !results || !count) return CUBLAS_STATUS_INVALID_VALUE;
  *count = 0;
  if (cublasStatus_t error = check(*at<MatmulDesc>(desc), *at<Layout>(a), *at<Layout>(b), *at<Layout>(d))) return error;
  std::memset(results, 0, sizeof *results);
  *count = 1;
  return CUBLAS_STATUS_SUCCESS;
}

CUDA_API cublasStatus_t cublasLtMatmul(void*, void* desc, const void* alpha, const void* a, void* a_layout, const void* b, void* b_layout,
                                       const void* beta, const void*, void*, void* d, void* d_layout, const void*, void*, size_t,
                                       CUstream stream) {
  if (!desc || !alpha || !beta || !a_layout || !b_layout || !d_layout) return CUBLAS_STATUS_INVALID_VALUE;
  Request r = {*at<MatmulDesc>(desc), *at<Layout>(a_layout), *at<Layout>(b_layout), *at<Layout>(d_layout), a, b, d, 0.f};
  if (cublasStatus_t error = check(r.desc, r.a_layout, r.b_layout, r.d_layout)) return error;
  float scale;
  std::memcpy(&r.alpha, alpha, sizeof r.alpha);
  std::memcpy(&scale, beta, sizeof scale);
  if (scale != 0) {
    emu::complain("cublasLtMatmul: beta must be 0");
    return CUBLAS_STATUS_NOT_SUPPORTED;
  }
  CUcontext context;
  if (emu::driver::current_context_handle(&context)) return CUBLAS_STATUS_NOT_INITIALIZED;
  auto before = [&r]() -> CUresult {
    std::string problem = r.problem();
    if (problem.empty()) return CUDA_SUCCESS;
    emu::complain("%s", problem.c_str());
    return CUDA_ERROR_INVALID_VALUE;
  };
  auto body = [r](bool replay) -> CUresult {
    std::string problem = replay ? r.problem() : ""; // memory may be gone by the time of a replay
    if (!problem.empty()) {
      emu::add_report("graph launch: " + problem);
      return CUDA_ERROR_ILLEGAL_ADDRESS;
    }
    r.execute();
    return CUDA_SUCCESS;
  };
  return emu::driver::submit_to_stream(context, stream, before, body) ? CUBLAS_STATUS_EXECUTION_FAILED : CUBLAS_STATUS_SUCCESS;
}
