// SPDX-License-Identifier: Apache-2.0
// Descriptors of tensors, filters and convolutions: 4-d, f32, bf16 or f16.
#include "handle.h"

namespace emu::dnn {

Registry<Tensor>& tensors() {
  static auto* instance = new Registry<Tensor>("tensor descriptor", 0xd01'0000'0000);
  return *instance;
}

Registry<Tensor>& filters() {
  static auto* instance = new Registry<Tensor>("filter descriptor", 0xd02'0000'0000);
  return *instance;
}

Registry<Convolution>& convolutions() {
  static auto* instance = new Registry<Convolution>("convolution descriptor", 0xd03'0000'0000);
  return *instance;
}

bool output_size(const Convolution& convolution, const Tensor& x, const Tensor& w, int64_t& h, int64_t& width) {
  int64_t free_h = x.h + 2 * convolution.pad_h - ((w.h - 1) * convolution.dilation_h + 1);
  int64_t free_w = x.w + 2 * convolution.pad_w - ((w.w - 1) * convolution.dilation_w + 1);
  h = free_h / convolution.step_h + 1;
  width = free_w / convolution.step_w + 1;
  return x.c == w.c && free_h >= 0 && free_w >= 0;
}

namespace {

template <class T> cudnnStatus_t create(Registry<T>& registry, void** out) {
  if (!out) return CUDNN_STATUS_BAD_PARAM_NULL_POINTER;
  *out = registry.add(T());
  return *out ? CUDNN_STATUS_SUCCESS : CUDNN_STATUS_INTERNAL_ERROR;
}

template <class T> cudnnStatus_t destroy(Registry<T>& registry, void* descriptor) {
  return registry.remove(descriptor) ? CUDNN_STATUS_SUCCESS : CUDNN_STATUS_BAD_PARAM;
}

cudnnStatus_t check_type(const char* call, int type) {
  if (type == CUDNN_DATA_FLOAT || type == CUDNN_DATA_HALF || type == CUDNN_DATA_BFLOAT16) return CUDNN_STATUS_SUCCESS;
  complain("%s: data type %d is not supported", call, type);
  return CUDNN_STATUS_NOT_SUPPORTED;
}

cudnnStatus_t set_packed(const char* call, Registry<Tensor>& registry, void* descriptor, int format, int type, int64_t n,
                         int64_t c, int64_t h, int64_t w) {
  if (n < 1 || c < 1 || h < 1 || w < 1) return CUDNN_STATUS_BAD_PARAM;
  if (cudnnStatus_t error = check_type(call, type)) return error;
  if (format != CUDNN_TENSOR_NCHW && format != CUDNN_TENSOR_NHWC) {
    complain("%s: format %d is not supported", call, format);
    return CUDNN_STATUS_NOT_SUPPORTED;
  }
  Tensor tensor = {type, n, c, h, w, c * h * w, h * w, w, 1};
  if (format == CUDNN_TENSOR_NHWC) tensor = {type, n, c, h, w, c * h * w, 1, w * c, c};
  return registry.change(descriptor, [&](Tensor& found) { return found = tensor, CUDNN_STATUS_SUCCESS; });
}

template <class T> cudnnStatus_t set(void* descriptor, T Convolution::*field, T value) {
  return convolutions().change(descriptor, [&](Convolution& found) { return found.*field = value, CUDNN_STATUS_SUCCESS; });
}

template <class T> cudnnStatus_t get(void* descriptor, T Convolution::*field, T* out) {
  if (!out) return CUDNN_STATUS_BAD_PARAM_NULL_POINTER;
  return convolutions().change(descriptor, [&](Convolution& found) { return *out = found.*field, CUDNN_STATUS_SUCCESS; });
}

} // namespace
} // namespace emu::dnn

using namespace emu::dnn;

CUDA_API cudnnStatus_t cudnnCreateTensorDescriptor(void** out) { return create(tensors(), out); }
CUDA_API cudnnStatus_t cudnnDestroyTensorDescriptor(void* descriptor) { return destroy(tensors(), descriptor); }
CUDA_API cudnnStatus_t cudnnCreateFilterDescriptor(void** out) { return create(filters(), out); }
CUDA_API cudnnStatus_t cudnnDestroyFilterDescriptor(void* descriptor) { return destroy(filters(), descriptor); }
CUDA_API cudnnStatus_t cudnnCreateConvolutionDescriptor(void** out) { return create(convolutions(), out); }
CUDA_API cudnnStatus_t cudnnDestroyConvolutionDescriptor(void* descriptor) { return destroy(convolutions(), descriptor); }

CUDA_API cudnnStatus_t cudnnSetTensor4dDescriptor(void* descriptor, int format, int type, int n, int c, int h, int w) {
  return set_packed("cudnnSetTensor4dDescriptor", tensors(), descriptor, format, type, n, c, h, w);
}

CUDA_API cudnnStatus_t cudnnSetTensor4dDescriptorEx(void* descriptor, int type, int n, int c, int h, int w, int stride_n,
                                                    int stride_c, int stride_h, int stride_w) {
  if (n < 1 || c < 1 || h < 1 || w < 1 || stride_n < 1 || stride_c < 1 || stride_h < 1 || stride_w < 1) {
    return CUDNN_STATUS_BAD_PARAM;
  }
  if (cudnnStatus_t error = check_type("cudnnSetTensor4dDescriptorEx", type)) return error;
  Tensor tensor = {type, n, c, h, w, stride_n, stride_c, stride_h, stride_w};
  return tensors().change(descriptor, [&](Tensor& found) { return found = tensor, CUDNN_STATUS_SUCCESS; });
}

CUDA_API cudnnStatus_t cudnnSetFilter4dDescriptor(void* descriptor, int type, int format, int k, int c, int h, int w) {
  return set_packed("cudnnSetFilter4dDescriptor", filters(), descriptor, format, type, k, c, h, w);
}

CUDA_API cudnnStatus_t cudnnSetConvolution2dDescriptor(void* descriptor, int pad_h, int pad_w, int step_h, int step_w,
                                                       int dilation_h, int dilation_w, int mode, int compute) {
  if (pad_h < 0 || pad_w < 0 || step_h < 1 || step_w < 1 || dilation_h < 1 || dilation_w < 1) return CUDNN_STATUS_BAD_PARAM;
  if (mode != CUDNN_CONVOLUTION && mode != CUDNN_CROSS_CORRELATION) return CUDNN_STATUS_BAD_PARAM;
  if (compute != CUDNN_DATA_FLOAT) {
    emu::complain("cudnnSetConvolution2dDescriptor: compute type %d is not supported", compute);
    return CUDNN_STATUS_NOT_SUPPORTED;
  }
  return convolutions().change(descriptor, [&](Convolution& found) {
    found = {mode, compute, found.math, found.groups, pad_h, pad_w, step_h, step_w, dilation_h, dilation_w};
    return CUDNN_STATUS_SUCCESS;
  });
}

// Kept without effect: every mode permits exact f32 products.
CUDA_API cudnnStatus_t cudnnSetConvolutionMathType(void* descriptor, int math) {
  return math < 0 || math > 3 ? CUDNN_STATUS_BAD_PARAM : set(descriptor, &Convolution::math, math);
}
CUDA_API cudnnStatus_t cudnnGetConvolutionMathType(void* descriptor, int* math) {
  return get(descriptor, &Convolution::math, math);
}

CUDA_API cudnnStatus_t cudnnSetConvolutionGroupCount(void* descriptor, int groups) {
  if (groups == 1) return set(descriptor, &Convolution::groups, groups);
  emu::complain("cudnnSetConvolutionGroupCount: %d groups are not supported", groups);
  return CUDNN_STATUS_NOT_SUPPORTED;
}
CUDA_API cudnnStatus_t cudnnGetConvolutionGroupCount(void* descriptor, int* groups) {
  return get(descriptor, &Convolution::groups, groups);
}

CUDA_API cudnnStatus_t cudnnGetConvolution2dForwardOutputDim(void* descriptor, void* x, void* w, int* n, int* c, int* h,
                                                             int* width) {
  Convolution convolution;
  Tensor input, filter;
  int64_t out_h, out_w;
  if (!n || !c || !h || !width) return CUDNN_STATUS_BAD_PARAM_NULL_POINTER;
  if (!convolutions().find(descriptor, convolution) || !tensors().find(x, input) || !filters().find(w, filter) ||
      !output_size(convolution, input, filter, out_h, out_w)) {
    return CUDNN_STATUS_BAD_PARAM;
  }
  *n = int(input.n);
  *c = int(filter.n);
  *h = int(out_h);
  *width = int(out_w);
  return CUDNN_STATUS_SUCCESS;
}
