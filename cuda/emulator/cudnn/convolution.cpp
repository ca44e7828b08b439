// SPDX-License-Identifier: Apache-2.0
// The forward convolution: arguments checked, then run in (or captured from) the handle's stream. One image at a time, as
// a product of its patches with the filter, so it has that product's fixed order of additions. Accumulated in f32, rounded once.
#include <cstring>
#include <string>
#include <vector>

#include "../core/bfloat16.h"
#include "../core/float16.h"
#include "../core/core.h"
#include "../cublas/gemm_kernel.h"
#include "../cublas/worker_pool.h"
#include "handle.h"

namespace {

constexpr int IMPLICIT_GEMM = 0;
constexpr const char* CALL = "cudnnConvolutionForward";

using emu::dnn::Convolution;
using emu::dnn::Handle;
using emu::dnn::Tensor;

// cudnnConvolutionFwdAlgoPerf_t
struct AlgorithmPerformance {
  int algorithm;
  cudnnStatus_t status;
  float time;
  size_t memory;
  int determinism;
  int math;
  int reserved[3];
};

struct Request {
  Convolution convolution;
  Tensor x, w, y;
  const void* x_data = nullptr;
  const void* w_data = nullptr;
  void* y_data = nullptr;
  float alpha = 1, beta = 0;
};

size_t size_of(int type) { return type == CUDNN_DATA_FLOAT ? 4 : 2; }

float load(const Tensor& tensor, const void* data, int64_t at) {
  if (tensor.type == CUDNN_DATA_FLOAT) return static_cast<const float*>(data)[at];
  if (tensor.type == CUDNN_DATA_HALF) return emu::f16_to_float(static_cast<const emu::f16*>(data)[at]);
  return emu::bf16_to_float(static_cast<const emu::bf16*>(data)[at]);
}

void store(const Tensor& tensor, void* data, int64_t at, float value) {
  if (tensor.type == CUDNN_DATA_FLOAT) static_cast<float*>(data)[at] = value;
  else if (tensor.type == CUDNN_DATA_HALF) static_cast<emu::f16*>(data)[at] = emu::f16_from_float(value);
  else static_cast<emu::bf16*>(data)[at] = emu::bf16_from_float(value);
}

cudnnStatus_t find(Request& r, void* x, void* w, void* convolution, void* y) {
  if (!emu::dnn::tensors().find(x, r.x) || !emu::dnn::filters().find(w, r.w) || !emu::dnn::tensors().find(y, r.y) ||
      !emu::dnn::convolutions().find(convolution, r.convolution)) {
    return CUDNN_STATUS_BAD_PARAM;
  }
  int64_t h, width;
  bool set = r.x.type >= 0 && r.w.type >= 0 && r.y.type >= 0 && r.convolution.mode >= 0;
  if (!set || !output_size(r.convolution, r.x, r.w, h, width) || r.y.n != r.x.n || r.y.c != r.w.n || r.y.h != h ||
      r.y.w != width) {
    return CUDNN_STATUS_BAD_PARAM;
  }
  if (r.x.type == r.w.type && r.x.type == r.y.type) return CUDNN_STATUS_SUCCESS;
  emu::complain("convolution: types x %d, w %d, y %d are not supported", r.x.type, r.w.type, r.y.type);
  return CUDNN_STATUS_NOT_SUPPORTED;
}

// What is wrong with the memory, or "".
std::string memory_problem(const Request& r) {
  struct {
    const char* name;
    const Tensor& tensor;
    const void* data;
  } all[] = {{"x", r.x, r.x_data}, {"w", r.w, r.w_data}, {"y", r.y, r.y_data}};
  for (const auto& [name, tensor, data] : all) {
    size_t bytes = size_t(tensor.extent()) * size_of(tensor.type);
    if (emu::driver::reachable_by_device(data, bytes)) continue;
    return std::string(CALL) + ": " + name + ", " + std::to_string(bytes) + " bytes: not inside one live device allocation";
  }
  return "";
}

// [k][c][h][w] of the filter, in f32
std::vector<float> packed_filter(const Request& r) {
  std::vector<float> packed;
  packed.reserve(size_t(r.w.n * r.w.c * r.w.h * r.w.w));
  bool flip = r.convolution.mode == CUDNN_CONVOLUTION;
  for (int64_t k = 0; k < r.w.n; k++)
    for (int64_t c = 0; c < r.w.c; c++)
      for (int64_t h = 0; h < r.w.h; h++)
        for (int64_t w = 0; w < r.w.w; w++) {
          int64_t row = flip ? r.w.h - 1 - h : h, column = flip ? r.w.w - 1 - w : w;
          packed.push_back(load(r.w, r.w_data, k * r.w.stride_n + c * r.w.stride_c + row * r.w.stride_h + column * r.w.stride_w));
        }
  return packed;
}

// Per place of y, what the filter sees of image n: [h * w][c][fh][fw], in f32
std::vector<float> patches(const Request& r, int64_t n) {
  std::vector<float> out;
  out.reserve(size_t(r.y.h * r.y.w * r.w.c * r.w.h * r.w.w));
  const Convolution& conv = r.convolution;
  for (int64_t y = 0; y < r.y.h; y++)
    for (int64_t x = 0; x < r.y.w; x++)
      for (int64_t c = 0; c < r.w.c; c++)
        for (int64_t h = 0; h < r.w.h; h++)
          for (int64_t w = 0; w < r.w.w; w++) {
            int64_t row = y * conv.step_h - conv.pad_h + h * conv.dilation_h;
            int64_t column = x * conv.step_w - conv.pad_w + w * conv.dilation_w;
            bool inside = row >= 0 && column >= 0 && row < r.x.h && column < r.x.w;
            int64_t at = n * r.x.stride_n + c * r.x.stride_c + row * r.x.stride_h + column * r.x.stride_w;
            out.push_back(inside ? load(r.x, r.x_data, at) : 0);
          }
  return out;
}

void execute(const Request& r) {
  std::vector<float> filter = packed_filter(r);
  int64_t depth = r.w.c * r.w.h * r.w.w, places = r.y.h * r.y.w;
  std::vector<float> products(size_t(places * r.y.c));
  for (int64_t n = 0; n < r.y.n; n++) {
    std::vector<float> inputs = patches(r, n);
    emu::gemm::multiply({r.y.c, places, depth, true, false, filter.data(), inputs.data(), products.data(), depth, depth, r.y.c,
                         emu::gemm::Type::F32, emu::gemm::Type::F32, 1, 0},
                        emu::blas::parallel_for);
    for (int64_t i = 0; i < places; i++)
      for (int64_t k = 0; k < r.y.c; k++) {
        int64_t at = n * r.y.stride_n + k * r.y.stride_c + i / r.y.w * r.y.stride_h + i % r.y.w * r.y.stride_w;
        float before = r.beta == 0 ? 0 : r.beta * load(r.y, r.y_data, at);
        store(r.y, r.y_data, at, r.alpha * products[size_t(i * r.y.c + k)] + before);
      }
  }
  size_t bytes = size_t(r.y.extent()) * size_of(r.y.type);
  if (emu::device_range(r.y_data, bytes)) emu::device_written(r.y_data, bytes);
}

cudnnStatus_t status_of(CUresult result) {
  switch (result) {
  case CUDA_SUCCESS: return CUDNN_STATUS_SUCCESS;
  case CUDA_ERROR_OUT_OF_MEMORY: return CUDNN_STATUS_INTERNAL_ERROR_DEVICE_ALLOCATION_FAILED;
  case CUDA_ERROR_INVALID_HANDLE: emu::complain("%s: the handle's stream is not a live stream", CALL); break;
  case CUDA_ERROR_INVALID_CONTEXT: emu::complain("%s: the handle or its stream belongs to another context", CALL); break;
  default: break;
  }
  return CUDNN_STATUS_EXECUTION_FAILED;
}

float load_scalar(const void* p) {
  float value;
  std::memcpy(&value, p, sizeof value);
  return value;
}

} // namespace

CUDA_API cudnnStatus_t cudnnGetConvolutionForwardAlgorithmMaxCount(void* handle, int* count) {
  Handle found;
  if (!count) return CUDNN_STATUS_BAD_PARAM_NULL_POINTER;
  if (!emu::dnn::handles().find(handle, found)) return CUDNN_STATUS_BAD_PARAM;
  *count = 1;
  return CUDNN_STATUS_SUCCESS;
}

CUDA_API cudnnStatus_t cudnnGetConvolutionForwardAlgorithm_v7(void* handle, void* x, void* w, void* convolution, void* y,
                                                              int requested, int* returned, AlgorithmPerformance* results) {
  Handle found;
  Request r;
  if (!returned || !results) return CUDNN_STATUS_BAD_PARAM_NULL_POINTER;
  if (!emu::dnn::handles().find(handle, found) || requested < 1) return CUDNN_STATUS_BAD_PARAM;
  if (cudnnStatus_t error = find(r, x, w, convolution, y)) return error;
  *results = {IMPLICIT_GEMM, CUDNN_STATUS_SUCCESS, -1, 0, 1, r.convolution.math, {}};
  *returned = 1;
  return CUDNN_STATUS_SUCCESS;
}

CUDA_API cudnnStatus_t cudnnGetConvolutionForwardWorkspaceSize(void* handle, void* x, void* w, void* convolution, void* y,
                                                               int algorithm, size_t* bytes) {
  Handle found;
  Request r;
  if (!bytes) return CUDNN_STATUS_BAD_PARAM_NULL_POINTER;
  if (!emu::dnn::handles().find(handle, found)) return CUDNN_STATUS_BAD_PARAM;
  if (cudnnStatus_t error = find(r, x, w, convolution, y)) return error;
  if (algorithm != IMPLICIT_GEMM) return CUDNN_STATUS_NOT_SUPPORTED;
  *bytes = 0;
  return CUDNN_STATUS_SUCCESS;
}

CUDA_API cudnnStatus_t cudnnConvolutionForward(void* handle, const void* alpha, void* x, const void* x_data, void* w,
                                               const void* w_data, void* convolution, int algorithm, void*, size_t,
                                               const void* beta, void* y, void* y_data) {
  Handle found;
  Request r;
  if (!emu::dnn::handles().find(handle, found)) return CUDNN_STATUS_BAD_PARAM;
  if (!alpha || !beta || !x_data || !w_data || !y_data) return CUDNN_STATUS_BAD_PARAM_NULL_POINTER;
  if (cudnnStatus_t error = find(r, x, w, convolution, y)) return error;
  if (algorithm != IMPLICIT_GEMM) {
    emu::complain("%s: algorithm %d is not supported", CALL, algorithm);
    return CUDNN_STATUS_NOT_SUPPORTED;
  }
  r.x_data = x_data;
  r.w_data = w_data;
  r.y_data = y_data;
  r.alpha = load_scalar(alpha);
  r.beta = load_scalar(beta);
  auto check = [&]() -> CUresult {
    std::string problem = memory_problem(r);
    if (problem.empty()) return CUDA_SUCCESS;
    emu::complain("%s", problem.c_str());
    return CUDA_ERROR_INVALID_VALUE;
  };
  auto body = [r](bool replay) -> CUresult {
    std::string problem = replay ? memory_problem(r) : ""; // memory may be gone by the time of a replay
    if (!problem.empty()) {
      emu::add_report("graph launch: " + problem);
      return CUDA_ERROR_ILLEGAL_ADDRESS;
    }
    execute(r);
    return CUDA_SUCCESS;
  };
  return status_of(emu::driver::submit_to_stream(found.context, found.stream, check, body));
}
