// SPDX-License-Identifier: Apache-2.0
// The cuDNN facade: values against a plain convolution in double, wrong arguments and memory, streams and capture.
#include <cmath>
#include <random>

#include "../../core/bfloat16.h"
#include "../../core/float16.h"
#include "cudnn_api.h"

using namespace selftest;

namespace {

constexpr int FLOAT = 0, BFLOAT16 = 9, HALF = 2, NCHW = 0, NHWC = 1, FLIPPED = 0, CROSS = 1;
constexpr int BAD_PARAM = 2000, NULL_POINTER = 2002, NOT_SUPPORTED = 3000, EXECUTION_FAILED = 5000;

// cudnnConvolutionFwdAlgoPerf_t
struct Performance {
  int algorithm, status;
  float time;
  size_t memory;
  int determinism, math, reserved[3];
};
static_assert(sizeof(Performance) == 48, "as in cuDNN 9");

struct Shape4 {
  int n, c, h, w;
  int count() const { return n * c * h * w; }
  int at(int format, int i, int j, int y, int x) const {
    return format == NCHW ? ((i * c + j) * h + y) * w + x : ((i * h + y) * w + x) * c + j;
  }
};

struct Case {
  Shape4 x;
  int k, fh, fw;
  int pad = 0, step = 1, dilation = 1;
  int type = FLOAT, format = NHWC, filter_format = NHWC, mode = CROSS;
};

class Call {
public:
  explicit Call(const Case& c) : c_(c) {
    CHECK_EQUAL(cudnnCreate(&handle), 0);
    CHECK_EQUAL(cudnnCreateTensorDescriptor(&x), 0);
    CHECK_EQUAL(cudnnCreateTensorDescriptor(&y), 0);
    CHECK_EQUAL(cudnnCreateFilterDescriptor(&w), 0);
    CHECK_EQUAL(cudnnCreateConvolutionDescriptor(&convolution), 0);
    CHECK_EQUAL(cudnnSetTensor4dDescriptor(x, c.format, c.type, c.x.n, c.x.c, c.x.h, c.x.w), 0);
    CHECK_EQUAL(cudnnSetFilter4dDescriptor(w, c.type, c.filter_format, c.k, c.x.c, c.fh, c.fw), 0);
    CHECK_EQUAL(cudnnSetConvolution2dDescriptor(convolution, c.pad, c.pad, c.step, c.step, c.dilation, c.dilation, c.mode, FLOAT), 0);
    CHECK_EQUAL(cudnnGetConvolution2dForwardOutputDim(convolution, x, w, &out.n, &out.c, &out.h, &out.w), 0);
    CHECK_EQUAL(cudnnSetTensor4dDescriptor(y, c.format, c.type, out.n, out.c, out.h, out.w), 0);
    in = random_values(c.x.count());
    filter = random_values(c.k * c.x.c * c.fh * c.fw);
    before = random_values(out.count());
    dx = put(in);
    dw = put(filter);
    dy = put(before);
  }
  ~Call() {
    cudnnDestroyConvolutionDescriptor(convolution);
    cudnnDestroyFilterDescriptor(w);
    cudnnDestroyTensorDescriptor(y);
    cudnnDestroyTensorDescriptor(x);
    CHECK_EQUAL(cudnnDestroy(handle), 0);
  }

  int run(float alpha = 1, float beta = 0, int algorithm = 0) {
    return cudnnConvolutionForward(handle, &alpha, x, reinterpret_cast<void*>(dx), w, reinterpret_cast<void*>(dw), convolution,
                                   algorithm, nullptr, 0, &beta, y, reinterpret_cast<void*>(dy));
  }

  std::vector<float> result() const {
    if (c_.type == FLOAT) return download<float>(dy, size_t(out.count()));
    std::vector<float> values;
    if (c_.type == HALF) {
      for (emu::f16 v : download<emu::f16>(dy, size_t(out.count()))) values.push_back(emu::f16_to_float(v));
      return values;
    }
    for (emu::bf16 v : download<emu::bf16>(dy, size_t(out.count()))) values.push_back(emu::bf16_to_float(v));
    return values;
  }

  // Elements that are further off than their rounding allows
  int wrong(float alpha, float beta) const {
    std::vector<float> after = result();
    Shape4 f = {c_.k, c_.x.c, c_.fh, c_.fw};
    int wrong = 0;
    for (int n = 0; n < out.n; n++)
      for (int k = 0; k < out.c; k++)
        for (int oy = 0; oy < out.h; oy++)
          for (int ox = 0; ox < out.w; ox++) {
            double sum = 0, size = 0;
            for (int j = 0; j < f.c; j++)
              for (int fy = 0; fy < f.h; fy++)
                for (int fx = 0; fx < f.w; fx++) {
                  int iy = oy * c_.step - c_.pad + fy * c_.dilation, ix = ox * c_.step - c_.pad + fx * c_.dilation;
                  if (iy < 0 || ix < 0 || iy >= c_.x.h || ix >= c_.x.w) continue;
                  int wy = c_.mode == FLIPPED ? f.h - 1 - fy : fy, wx = c_.mode == FLIPPED ? f.w - 1 - fx : fx;
                  double term = double(in[size_t(c_.x.at(c_.format, n, j, iy, ix))]) * filter[size_t(f.at(c_.filter_format, k, j, wy, wx))];
                  sum += term;
                  size += std::fabs(term);
                }
            size_t at = size_t(out.at(c_.format, n, k, oy, ox));
            double expected = alpha * sum + (beta == 0 ? 0 : beta * before[at]);
            double allowed = 1e-6 * size + (c_.type == FLOAT ? 1e-6 : 1 / 250.0) * std::fabs(expected) + 1e-6;
            if (!(std::fabs(after[at] - expected) <= allowed)) wrong++;
          }
    return wrong;
  }

  void *handle = nullptr, *x = nullptr, *y = nullptr, *w = nullptr, *convolution = nullptr;
  CUdeviceptr dx = 0, dw = 0, dy = 0;
  Shape4 out = {};

private:
  std::vector<float> random_values(int count) {
    static std::mt19937 generator(4321);
    std::normal_distribution<float> normal;
    std::vector<float> values(static_cast<size_t>(count));
    for (float& v : values) {
      v = normal(generator);
      if (c_.type == BFLOAT16) v = emu::bf16_to_float(emu::bf16_from_float(v));
      if (c_.type == HALF) v = emu::f16_to_float(emu::f16_from_float(v));
    }
    return values;
  }
  CUdeviceptr put(const std::vector<float>& values) const {
    if (c_.type == FLOAT) return upload(values);
    if (c_.type == HALF) {
      std::vector<emu::f16> narrow;
      for (float v : values) narrow.push_back(emu::f16_from_float(v));
      return upload(narrow);
    }
    std::vector<emu::bf16> narrow;
    for (float v : values) narrow.push_back(emu::bf16_from_float(v));
    return upload(narrow);
  }

  Case c_;
  std::vector<float> in, filter, before;
};

} // namespace

TEST(cudnn_values) {
  OwnContext context;
  const Case cases[] = {
      {{1, 1, 1, 1}, 1, 1, 1},
      {{2, 3, 31, 45}, 17, 14, 14, 0, 14}, // patches with a remainder
      {{3, 5, 9, 7}, 4, 3, 2},
      {{1, 2, 8, 8}, 3, 3, 3, 1, 2},
      {{2, 4, 11, 10}, 6, 3, 3, 2, 1, 2},
  };
  for (Case c : cases)
    for (int type : {FLOAT, BFLOAT16, HALF})
      for (int format : {NCHW, NHWC})
        for (int filter_format : {NCHW, NHWC})
          for (int mode : {FLIPPED, CROSS}) {
            c.type = type;
            c.format = format;
            c.filter_format = filter_format;
            c.mode = mode;
            Call call(c);
            CHECK_EQUAL(call.run(), 0);
            CHECK_EQUAL(call.wrong(1, 0), 0);
          }
  Call scaled(cases[2]);
  CHECK_EQUAL(scaled.run(0.5f, -2), 0);
  CHECK_EQUAL(scaled.wrong(0.5f, -2), 0);
}

TEST(cudnn_handles_and_descriptors) {
  OwnContext context;
  Call good({{1, 2, 5, 5}, 3, 2, 2});
  CUstream stream = new_stream(), got = nullptr;
  CHECK_EQUAL(cudnnSetStream(good.handle, stream), 0);
  CHECK_EQUAL(cudnnGetStream(good.handle, &got), 0);
  CHECK(got == stream);
  CHECK_EQUAL(cudnnGetVersion() / 10000, size_t(9));
  CHECK_CONTAINS(cudnnGetErrorString(NOT_SUPPORTED), "CUDNN_STATUS_NOT_SUPPORTED");
  CHECK_EQUAL(cudnnCreate(nullptr), NULL_POINTER);
  CHECK_EQUAL(cudnnDestroy(&stream), BAD_PARAM);
  CHECK_EQUAL(cudnnDestroyTensorDescriptor(good.w), BAD_PARAM); // a filter
  CHECK_EQUAL(cudnnSetTensor4dDescriptor(good.x, NHWC, 1, 1, 2, 5, 5), NOT_SUPPORTED);
  CHECK_EQUAL(cudnnSetTensor4dDescriptor(good.x, 2, FLOAT, 1, 2, 5, 5), NOT_SUPPORTED);
  CHECK_EQUAL(cudnnSetTensor4dDescriptor(good.x, NHWC, FLOAT, 1, 0, 5, 5), BAD_PARAM);
  CHECK_EQUAL(cudnnSetConvolution2dDescriptor(good.convolution, 0, 0, 0, 1, 1, 1, CROSS, FLOAT), BAD_PARAM);
  CHECK_EQUAL(cudnnSetConvolution2dDescriptor(good.convolution, 0, 0, 1, 1, 1, 1, CROSS, HALF), NOT_SUPPORTED);
  CHECK_EQUAL(cudnnSetConvolutionGroupCount(good.convolution, 2), NOT_SUPPORTED);
  int math = -1;
  CHECK_EQUAL(cudnnSetConvolutionMathType(good.convolution, 3), 0);
  CHECK_EQUAL(cudnnGetConvolutionMathType(good.convolution, &math), 0);
  CHECK_EQUAL(math, 3);
  CHECK_EQUAL(cudnnSoftmaxForward(), NOT_SUPPORTED);

  Performance best = {};
  int count = 0;
  size_t bytes = 1;
  CHECK_EQUAL(cudnnGetConvolutionForwardAlgorithm_v7(good.handle, good.x, good.w, good.convolution, good.y, 8, &count, &best), 0);
  CHECK_EQUAL(count, 1);
  CHECK_EQUAL(best.status, 0);
  CHECK_EQUAL(best.math, 3);
  CHECK_EQUAL(cudnnGetConvolutionForwardWorkspaceSize(good.handle, good.x, good.w, good.convolution, good.y, best.algorithm, &bytes), 0);
  CHECK_EQUAL(bytes, size_t(0));
  CHECK_EQUAL(good.run(), 0);
}

TEST(cudnn_wrong_arguments_and_memory) {
  OwnContext context;
  Call good({{1, 2, 5, 5}, 3, 2, 2});
  CHECK_EQUAL(good.run(1, 0, 6), NOT_SUPPORTED); // Winograd
  CHECK_EQUAL(cudnnSetTensor4dDescriptor(good.y, NHWC, FLOAT, 1, 3, 4, 3), 0);
  CHECK_EQUAL(good.run(), BAD_PARAM); // not the size of the result
  CHECK_EQUAL(cudnnSetTensor4dDescriptor(good.y, NHWC, BFLOAT16, 1, 3, 4, 4), 0);
  CHECK_EQUAL(good.run(), NOT_SUPPORTED); // f32 to bf16
  CHECK_EQUAL(cudnnSetTensor4dDescriptor(good.y, NHWC, FLOAT, 1, 3, 4, 4), 0);
  CHECK_EQUAL(good.run(), 0);
  int n, c, h, w;
  CHECK_EQUAL(cudnnSetFilter4dDescriptor(good.w, FLOAT, NHWC, 3, 2, 6, 2), 0);
  CHECK_EQUAL(cudnnGetConvolution2dForwardOutputDim(good.convolution, good.x, good.w, &n, &c, &h, &w), BAD_PARAM);
  CHECK_EQUAL(cudnnSetFilter4dDescriptor(good.w, FLOAT, NHWC, 3, 2, 2, 2), 0);
  CUdeviceptr kept = good.dx;
  good.dx = 0;
  CHECK_EQUAL(good.run(), NULL_POINTER);
  good.dx = kept + 4; // its end is outside
  CHECK_EQUAL(good.run(), EXECUTION_FAILED);
  good.dx = kept;
  CHECK_EQUAL(cuMemFree_v2(good.dy), 0);
  CHECK_EQUAL(good.run(), EXECUTION_FAILED); // use after free
  CHECK_EQUAL(cuCtxSynchronize(), 0);
  OwnContext other;
  good.dy = allocate(1 << 10);
  CHECK_EQUAL(good.run(), EXECUTION_FAILED); // the handle belongs to the first context
}

TEST(cudnn_capture) {
  OwnContext context;
  Call call({{1, 1, 2, 2}, 1, 1, 1});
  CUstream stream = new_stream();
  CUgraph graph;
  CHECK_EQUAL(cudnnSetStream(call.handle, stream), 0);
  std::vector<float> before = call.result();
  CHECK_EQUAL(cuStreamBeginCapture_v2(stream, 0), 0);
  CHECK_EQUAL(call.run(), 0);
  CHECK_EQUAL(cuStreamEndCapture(stream, &graph), 0);
  CHECK_EQUAL(call.result()[0], before[0]);
  CUgraphExec exec = instantiate(graph);
  CHECK_EQUAL(cuGraphLaunch(exec, stream), 0);
  CHECK_EQUAL(call.wrong(1, 0), 0);
  CHECK_EQUAL(cuMemFree_v2(call.dy), 0);
  CHECK_EQUAL(cuGraphLaunch(exec, stream), 700);
  CHECK_CONTAINS(emu::take_reports(), "y, 16 bytes");
}
