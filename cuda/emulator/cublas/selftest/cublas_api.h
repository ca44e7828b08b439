// SPDX-License-Identifier: Apache-2.0
// The cuBLAS calls that the tests make.
#pragma once

#include "../../driver/selftest/driver_api.h"

extern "C" {
using cublasHandle = void*;
int cublasCreate_v2(cublasHandle*);
int cublasDestroy_v2(cublasHandle);
int cublasGetVersion_v2(cublasHandle, int*);
int cublasSetStream_v2(cublasHandle, CUstream);
int cublasGetStream_v2(cublasHandle, CUstream*);
int cublasSetWorkspace_v2(cublasHandle, void*, size_t);
int cublasSetPointerMode_v2(cublasHandle, int);
int cublasSetMathMode(cublasHandle, int);
int cublasGetMathMode(cublasHandle, int*);
const char* cublasGetStatusName(int);
int cublasGemmEx(cublasHandle, int, int, int, int, int, const void*, const void*, int, int, const void*, int, int,
                 const void*, void*, int, int, int, int);
int cublasGemmStridedBatchedEx(cublasHandle, int, int, int, int, int, const void*, const void*, int, int, long long,
                               const void*, int, int, long long, const void*, void*, int, int, long long, int, int,
                               int);
int cublasGemmBatchedEx(cublasHandle, int, int, int, int, int, const void*, const void* const*, int, int,
                        const void* const*, int, int, const void*, void* const*, int, int, int, int, int);
int cublasSgemm_v2(cublasHandle, int, int, int, int, int, const float*, const float*, int, const float*, int,
                   const float*, float*, int);
int cublasDgemm_v2(cublasHandle);
}

namespace selftest {

constexpr int F32 = 0, F16 = 2, BF16 = 14, N = 0, T = 1, COMPUTE_32F = 68;

class OwnBlas {
public:
  OwnBlas() { CHECK_EQUAL(cublasCreate_v2(&handle_), 0); }
  ~OwnBlas() { CHECK_EQUAL(cublasDestroy_v2(handle_), 0); }
  operator cublasHandle() const { return handle_; }

private:
  cublasHandle handle_ = nullptr;
};

} // namespace selftest
