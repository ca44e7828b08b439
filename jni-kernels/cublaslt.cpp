// SPDX-License-Identifier: Apache-2.0
// Matrix products with an epilogue by cublasLt: y[m,n] = epilogue(x[m,k] w[n,k]^T), all row-major, prepared once for their sizes.
#include <initializer_list>
#include <new>

#include "dev_diffusionvl_runtime_JniCalls.h"
#include "driver.h"

namespace dvl {
namespace {

enum Attribute { TRANSA = 3, EPILOGUE = 7, BIAS_POINTER = 8 };
enum Preference { MAX_WORKSPACE_BYTES = 1, MIN_ALIGNMENT_A_BYTES = 5, MIN_ALIGNMENT_D_BYTES = 8 };
constexpr int COMPUTE_32F = 68, R_32F = 0, OP_T = 1;
constexpr unsigned ALIGNMENT = 16; // Java sees to it

struct Algorithm {
  uint64_t data[8];
};

struct HeuristicResult {
  Algorithm algorithm;
  size_t workspace;
  int state;
  float waves;
  int reserved[4];
};
static_assert(sizeof(HeuristicResult) == 96, "cublasLt's ABI");

template <class... A> using Function = DriverFunction<A...>;

struct Library {
  Function<void**> create{"cublasLtCreate", blas_symbol};
  Function<void*> destroy{"cublasLtDestroy", blas_symbol};
  Function<void**, int, int> create_desc{"cublasLtMatmulDescCreate", blas_symbol};
  Function<void*> destroy_desc{"cublasLtMatmulDescDestroy", blas_symbol};
  Function<void*, int, const void*, size_t> set{"cublasLtMatmulDescSetAttribute", blas_symbol};
  Function<void**, int, uint64_t, uint64_t, int64_t> create_layout{"cublasLtMatrixLayoutCreate", blas_symbol};
  Function<void*> destroy_layout{"cublasLtMatrixLayoutDestroy", blas_symbol};
  Function<void**> create_preference{"cublasLtMatmulPreferenceCreate", blas_symbol};
  Function<void*> destroy_preference{"cublasLtMatmulPreferenceDestroy", blas_symbol};
  Function<void*, int, const void*, size_t> prefer{"cublasLtMatmulPreferenceSetAttribute", blas_symbol};
  Function<void*, void*, void*, void*, void*, void*, void*, int, HeuristicResult*, int*> choose{"cublasLtMatmulAlgoGetHeuristic",
                                                                                               blas_symbol};
  Function<void*, void*, const void*, const void*, void*, const void*, void*, const void*, const void*, void*, void*, void*,
           const Algorithm*, void*, size_t, CUstream>
      multiply{"cublasLtMatmul", blas_symbol};
};

const Library& library() {
  static const Library instance;
  return instance;
}

struct Product {
  void *handle = nullptr, *desc = nullptr, *w = nullptr, *x = nullptr, *y = nullptr;
  HeuristicResult choice = {};

  ~Product() {
    const Library& lt = library();
    for (void* layout : {w, x, y}) {
      if (layout) lt.destroy_layout(layout);
    }
    if (desc) lt.destroy_desc(desc);
    if (handle) lt.destroy(handle);
  }
};

int choose(Product& p, size_t workspace) {
  const Library& lt = library();
  void* preference = nullptr;
  if (int error = lt.create_preference(&preference)) return error;
  int error = lt.prefer(preference, MAX_WORKSPACE_BYTES, &workspace, sizeof workspace);
  for (int which = MIN_ALIGNMENT_A_BYTES; !error && which <= MIN_ALIGNMENT_D_BYTES; which++) {
    error = lt.prefer(preference, which, &ALIGNMENT, sizeof ALIGNMENT);
  }
  int found = 0;
  if (!error) error = lt.choose(p.handle, p.desc, p.w, p.x, p.y, p.y, preference, 1, &p.choice, &found);
  lt.destroy_preference(preference);
  constexpr int NOT_SUPPORTED = 15;
  return error ? error : found ? 0 : NOT_SUPPORTED;
}

// Row-major y is the column-major n x m product of w^T (stored k x n) and x (stored k x m); the bias runs along its n rows.
int prepare(Product& p, int in, int out, int m, int n, int k, int epilogue, size_t workspace) {
  const Library& lt = library();
  const void* some_bias = at<void>(256); // only its alignment counts before the product
  if (int error = lt.create(&p.handle)) return error;
  if (int error = lt.create_desc(&p.desc, COMPUTE_32F, R_32F)) return error;
  if (int error = lt.set(p.desc, TRANSA, &OP_T, sizeof OP_T)) return error;
  if (int error = lt.set(p.desc, EPILOGUE, &epilogue, sizeof epilogue)) return error;
  if (int error = lt.set(p.desc, BIAS_POINTER, &some_bias, sizeof some_bias)) return error;
  if (int error = lt.create_layout(&p.w, in, uint64_t(k), uint64_t(n), k)) return error;
  if (int error = lt.create_layout(&p.x, in, uint64_t(k), uint64_t(m), k)) return error;
  if (int error = lt.create_layout(&p.y, out, uint64_t(n), uint64_t(m), n)) return error;
  return choose(p, workspace);
}

} // namespace
} // namespace dvl

using namespace dvl;

extern "C" JNIEXPORT jint JNICALL Java_dev_diffusionvl_runtime_JniCalls_prepareProduct(JNIEnv* env, jclass, jint in, jint out, jint m,
                                                                                      jint n, jint k, jint epilogue, jlong workspace,
                                                                                      jlongArray result) {
  auto* product = new (std::nothrow) Product;
  if (!product) return 3; // CUBLAS_STATUS_ALLOC_FAILED
  if (int error = prepare(*product, in, out, m, n, k, epilogue, size_t(workspace))) {
    delete product;
    return error;
  }
  auto address = reinterpret_cast<jlong>(product);
  env->SetLongArrayRegion(result, 0, 1, &address);
  return 0;
}

// bias: 0 when the epilogue has none
extern "C" JNIEXPORT jint JNICALL Java_dev_diffusionvl_runtime_JniCalls_multiply(JNIEnv*, jclass, jlong product, jlong x, jlong w,
                                                                                jlong bias, jlong y, jlong workspace,
                                                                                jlong workspace_bytes, jlong stream) {
  const Library& lt = library();
  auto& p = *at<Product>(product);
  if (bias) {
    if (int error = lt.set(p.desc, BIAS_POINTER, &bias, sizeof bias)) return error;
  }
  const float one = 1, zero = 0;
  return lt.multiply(p.handle, p.desc, &one, at<void>(w), p.w, at<void>(x), p.x, &zero, at<void>(y), p.y, at<void>(y), p.y,
                     &p.choice.algorithm, at<void>(workspace), size_t(workspace_bytes), at<void>(stream));
}

extern "C" JNIEXPORT void JNICALL Java_dev_diffusionvl_runtime_JniCalls_freeProduct(JNIEnv*, jclass, jlong product) {
  delete at<Product>(product);
}
