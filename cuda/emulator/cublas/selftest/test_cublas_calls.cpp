// SPDX-License-Identifier: Apache-2.0
// Handles, wrong arguments, memory ranges, streams and capture of the cuBLAS facade.
#include <thread>

#include "cublas_api.h"

using namespace selftest;

namespace {

// y[2 x 2] = x * x, all f32
struct Square {
  CUdeviceptr x = upload(std::vector<float>{1, 2, 3, 4}), y = upload(std::vector<float>(4, 0));
  float alpha = 1, beta = 0;
  int ld = 2, type = F32, compute = COMPUTE_32F, op = N, m = 2;
  int operator()(cublasHandle handle) const { return (*this)(handle, &alpha, &beta); }
  int operator()(cublasHandle handle, const void* a, const void* b) const {
    return cublasGemmEx(handle, op, N, m, 2, 2, a, reinterpret_cast<void*>(x), type, ld, reinterpret_cast<void*>(x),
                        type, ld, b, reinterpret_cast<void*>(y), type, 2, compute, -1);
  }
  float first() const { return download<float>(y, 1)[0]; }
};

} // namespace

TEST(cublas_handles) {
  OwnContext context;
  cublasHandle handle = nullptr;
  int version = 0, mode = -1;
  CHECK_EQUAL(cublasCreate_v2(nullptr), 7);
  CHECK_EQUAL(cublasCreate_v2(&handle), 0);
  CHECK_EQUAL(cublasGetVersion_v2(handle, &version), 0);
  CHECK_EQUAL(version / 10000, 12);
  CHECK_EQUAL(cublasSetMathMode(handle, 1), 0);
  CHECK_EQUAL(cublasGetMathMode(handle, &mode), 0);
  CHECK_EQUAL(mode, 1);
  CHECK_EQUAL(cublasSetPointerMode_v2(handle, 2), 7);
  CHECK_EQUAL(cublasSetWorkspace_v2(handle, reinterpret_cast<void*>(allocate(1 << 16)), 1 << 16), 0);
  CUstream stream = new_stream(), got = nullptr;
  CHECK_EQUAL(cublasSetStream_v2(handle, stream), 0);
  CHECK_EQUAL(cublasGetStream_v2(handle, &got), 0);
  CHECK(got == stream);
  CHECK_EQUAL(cublasDestroy_v2(handle), 0);
  CHECK_EQUAL(cublasDestroy_v2(handle), 1);
  CHECK_EQUAL(cublasDestroy_v2(&version), 1);
  CHECK_EQUAL(cublasSetStream_v2(handle, stream), 1);
  CHECK_EQUAL(Square()(handle), 1);
  CHECK_EQUAL(Square()(nullptr), 1);
  CHECK_CONTAINS(cublasGetStatusName(15), "CUBLAS_STATUS_NOT_SUPPORTED");
  CHECK_EQUAL(cublasDgemm_v2(handle), 15);
  int elsewhere = -1;
  std::thread([&] { elsewhere = cublasCreate_v2(&handle); }).join();
  CHECK_EQUAL(elsewhere, 1); // a thread without a context
}

TEST(cublas_wrong_arguments) {
  OwnContext context;
  OwnBlas blas;
  Square good;
  CHECK_EQUAL(good(blas), 0);
  CHECK_EQUAL(good.first(), 7.f);
  auto with = [&](auto change) {
    Square changed = good;
    change(changed);
    return changed(blas);
  };
  CHECK_EQUAL(with([](Square& s) { s.ld = 1; }), 7);
  CHECK_EQUAL(with([](Square& s) { s.op = 3; }), 7);
  CHECK_EQUAL(with([](Square& s) { s.m = -1; }), 7);
  CHECK_EQUAL(with([](Square& s) { s.type = 1; }), 15);     // f64
  CHECK_EQUAL(with([](Square& s) { s.compute = 70; }), 15); // f64
  CHECK_EQUAL(with([](Square& s) { s.compute = 69; }), 0);  // pedantic
  CHECK_EQUAL(with([](Square& s) { s.compute = 0; }), 0);   // the old encoding
  CHECK_EQUAL(good(blas, nullptr, &good.beta), 7);
  CHECK_EQUAL(with([](Square& s) { s.m = s.y = 0; }), 0); // nothing to do
}

TEST(cublas_wrong_memory) {
  OwnContext context;
  OwnBlas blas;
  Square good;
  auto with = [&](auto change) {
    Square changed = good;
    change(changed);
    return changed(blas);
  };
  std::vector<float> host(4);
  CHECK_EQUAL(with([](Square& s) { s.x = 0; }), 13);
  CHECK_EQUAL(with([](Square& s) { s.x += 4; }), 13); // its end is outside
  CHECK_EQUAL(with([](Square& s) { s.y += 4; }), 13);
  CHECK_EQUAL(with([](Square& s) { s.ld = 3; }), 13);
  CHECK_EQUAL(with([&](Square& s) { s.x = reinterpret_cast<CUdeviceptr>(host.data()); }), 13);
  CHECK_EQUAL(good(blas), 0);
  CHECK_EQUAL(cuMemFree_v2(good.y), 0);
  CHECK_EQUAL(good(blas), 13); // use after free
  CHECK_EQUAL(cuCtxSynchronize(), 0);
}

TEST(cublas_streams) {
  OwnContext context;
  OwnBlas blas;
  Square square;
  CUstream stream = new_stream();
  CHECK_EQUAL(cublasSetStream_v2(blas, stream), 0);
  CHECK_EQUAL(square(blas), 0);
  CHECK_EQUAL(cuStreamDestroy_v2(stream), 0);
  CHECK_EQUAL(square(blas), 13);
  CHECK_EQUAL(cublasSetStream_v2(blas, nullptr), 0);
  CHECK_EQUAL(square(blas), 0);
  OwnContext other;
  CHECK_EQUAL(square(blas), 13); // the handle belongs to the first context
}

TEST(cublas_device_scalars) {
  OwnContext context;
  OwnBlas blas;
  Square square;
  CUdeviceptr scalars = upload(std::vector<float>{2, 0});
  CHECK_EQUAL(cublasSetPointerMode_v2(blas, 1), 0);
  CHECK_EQUAL(square(blas), 13); // host scalars where device ones are due
  CHECK_EQUAL(square(blas, reinterpret_cast<void*>(scalars), reinterpret_cast<void*>(scalars + 4)), 0);
  CHECK_EQUAL(square.first(), 14.f);
}

TEST(cublas_capture) {
  OwnContext context;
  OwnBlas blas;
  Square square;
  CUstream stream = new_stream();
  CUgraph graph;
  CHECK_EQUAL(cublasSetStream_v2(blas, stream), 0);
  CHECK_EQUAL(cuStreamBeginCapture_v2(stream, 0), 0);
  {
    float three = 3, zero = 0; // host scalars are taken at the call
    CHECK_EQUAL(square(blas, &three, &zero), 0);
    three = 0;
  }
  CHECK_EQUAL(cuMemcpyDtoDAsync_v2(square.x, square.y, 4, stream), 0);
  CHECK_EQUAL(cuStreamEndCapture(stream, &graph), 0);
  CHECK_EQUAL(square.first(), 0.f);
  CUgraphExec exec = instantiate(graph);
  CHECK_EQUAL(cuGraphLaunch(exec, stream), 0);
  CHECK_EQUAL(square.first(), 21.f); // 3 * (1 + 6)
  CHECK_EQUAL(cuGraphLaunch(exec, stream), 0);
  CHECK_EQUAL(square.first(), 1341.f); // 3 * (441 + 6)
  CHECK_EQUAL(cuMemFree_v2(square.y), 0);
  CHECK_EQUAL(cuGraphLaunch(exec, stream), 700);
  CHECK_CONTAINS(emu::take_reports(), "C [2 x 2]");
  CHECK_EQUAL(square(blas), 13);
}
