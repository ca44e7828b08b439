// SPDX-License-Identifier: Apache-2.0
// cuDNN types, handles and descriptors of the facade.
#pragma once

#include <cstdint>
#include <mutex>
#include <unordered_map>

#include "../core/complain.h"
#include "../core/core.h"
#include "../driver/cuda_types.h"
#include "../driver/submit.h"

using cudnnStatus_t = int;

// The values of cuDNN 9.
enum : cudnnStatus_t {
  CUDNN_STATUS_SUCCESS = 0,
  CUDNN_STATUS_NOT_INITIALIZED = 1001,
  CUDNN_STATUS_BAD_PARAM = 2000,
  CUDNN_STATUS_BAD_PARAM_NULL_POINTER = 2002,
  CUDNN_STATUS_NOT_SUPPORTED = 3000,
  CUDNN_STATUS_INTERNAL_ERROR = 4000,
  CUDNN_STATUS_INTERNAL_ERROR_DEVICE_ALLOCATION_FAILED = 4003,
  CUDNN_STATUS_EXECUTION_FAILED = 5000,
};

enum TensorFormat : int { CUDNN_TENSOR_NCHW = 0, CUDNN_TENSOR_NHWC = 1 };
enum DataType : int { CUDNN_DATA_FLOAT = 0, CUDNN_DATA_HALF = 2, CUDNN_DATA_BFLOAT16 = 9 };
enum ConvolutionMode : int { CUDNN_CONVOLUTION = 0, CUDNN_CROSS_CORRELATION = 1 };

namespace emu::dnn {

// What handles and descriptors have in common: a value is a serial number that is never reused, so a destroyed or foreign one is
// noticed and never followed.
template <class T> class Registry {
public:
  Registry(const char* kind, uintptr_t first) : next_(first), kind_(kind) {}

  // nullptr: the creation that has to fail
  void* add(const T& value) {
    if (!emu::create(kind_)) return nullptr;
    std::lock_guard<std::mutex> lock(mutex_);
    void* handle = reinterpret_cast<void*>(next_ += 16);
    live_[handle] = value;
    return handle;
  }
  bool remove(void* handle) {
    std::lock_guard<std::mutex> lock(mutex_);
    if (!live_.erase(handle)) return false;
    emu::destroyed(kind_);
    return true;
  }
  bool find(void* handle, T& out) {
    std::lock_guard<std::mutex> lock(mutex_);
    auto found = live_.find(handle);
    return found != live_.end() && (out = found->second, true);
  }
  template <class Body> cudnnStatus_t change(void* handle, const Body& body) {
    std::lock_guard<std::mutex> lock(mutex_);
    auto found = live_.find(handle);
    return found == live_.end() ? CUDNN_STATUS_BAD_PARAM : body(found->second);
  }

private:
  std::mutex mutex_;
  std::unordered_map<void*, T> live_;
  uintptr_t next_;
  const char* kind_; // of creation (../core.h)
};

struct Handle {
  CUcontext context = nullptr; // current when the handle was made; the only one that it works in
  CUstream stream = nullptr;
};

// A tensor [n][c][h][w] or a filter [k][c][h][w], by its strides in elements.
struct Tensor {
  int type = -1; // not set yet
  int64_t n = 0, c = 0, h = 0, w = 0;
  int64_t stride_n = 0, stride_c = 0, stride_h = 0, stride_w = 0;
  int64_t extent() const { return (n - 1) * stride_n + (c - 1) * stride_c + (h - 1) * stride_h + (w - 1) * stride_w + 1; }
};

struct Convolution {
  int mode = -1; // not set yet
  int compute = CUDNN_DATA_FLOAT;
  int math = 0;
  int groups = 1;
  int64_t pad_h = 0, pad_w = 0, step_h = 1, step_w = 1, dilation_h = 1, dilation_w = 1;
};

Registry<Handle>& handles();
Registry<Tensor>& tensors();
Registry<Tensor>& filters();
Registry<Convolution>& convolutions();

// Spaces of one image of y, given x and w; false if they do not fit.
bool output_size(const Convolution& convolution, const Tensor& x, const Tensor& w, int64_t& h, int64_t& width);

} // namespace emu::dnn
