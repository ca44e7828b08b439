// SPDX-License-Identifier: Apache-2.0
// Capture: what becomes a node, what is refused, what spoils the capture.
#include <algorithm>
#include <thread>

#include "driver_api.h"

using namespace selftest;

namespace {

constexpr int GLOBAL = 0, THREAD_LOCAL = 1, RELAXED = 2;

struct Capturing {
  explicit Capturing(unsigned flags = 1, int mode = GLOBAL) : stream(new_stream(flags)) {
    CHECK_EQUAL(cuStreamBeginCapture_v2(stream, mode), 0);
  }
  CUresult end() { return cuStreamEndCapture(stream, &graph); }
  int status() {
    int result = -1;
    CHECK_EQUAL(cuStreamIsCapturing(stream, &result), 0);
    return result;
  }
  CUstream stream;
  CUgraph graph = nullptr;
};

} // namespace

TEST(driver_capture_and_replay) {
  OwnContext context;
  Scale scale;
  CUdeviceptr x = upload(std::vector<float>(100, 1)), y = upload(std::vector<float>(100, 0));
  std::vector<float> host(100);
  Capturing capture;
  CHECK_EQUAL(capture.status(), 1);
  {
    // the arguments live on the stack of a call that is over by the time of the replay
    CHECK_EQUAL(scale(x, y, 100, 3, capture.stream), 0);
    CHECK_EQUAL(scale(y, x, 100, 1, capture.stream), 0);
  }
  CHECK_EQUAL(cuMemcpyDtoHAsync_v2(host.data(), y, 400, capture.stream), 0);
  CHECK_EQUAL(cuMemsetD32Async(y, 0, 100, capture.stream), 0);
  CHECK_EQUAL(capture.end(), 0);
  CHECK_EQUAL(capture.status(), 0);
  CHECK_EQUAL(download<float>(x, 100)[99], 1.f); // nothing has run yet
  size_t nodes = 0, edges = 0;
  CHECK_EQUAL(cuGraphGetNodes(capture.graph, nullptr, &nodes), 0);
  CHECK_EQUAL(cuGraphGetEdges(capture.graph, nullptr, nullptr, &edges), 0);
  CHECK_EQUAL(nodes, 4u);
  CHECK_EQUAL(edges, 3u);
  CUgraphExec exec = instantiate(capture.graph);
  CHECK_EQUAL(cuGraphDestroy(capture.graph), 0);
  CHECK_EQUAL(cuGraphUpload(exec, capture.stream), 0);
  for (int i = 0; i < 3; i++) CHECK_EQUAL(cuGraphLaunch(exec, capture.stream), 0);
  CHECK_EQUAL(cuStreamSynchronize(capture.stream), 0);
  CHECK_EQUAL(host[99], 27.f);
  CHECK_EQUAL(download<float>(y, 100)[0], 0.f);
  CHECK_EQUAL(cuGraphExecDestroy(exec), 0);
  CHECK_EQUAL(cuGraphLaunch(exec, capture.stream), 1);
}

// Every size of argument, also a struct that wants to be aligned more than the copy is.
TEST(driver_capture_copies_arguments) {
  OwnContext context;
  CUfunction kernel = function("features", "arguments");
  CUdeviceptr out = allocate(sizeof(double));
  Capturing capture;
  char a = 1;
  double b = 0.5;
  alignas(64) int wide[32] = {10};
  wide[31] = 20;
  short c = 300;
  unsigned long long d = 4000;
  void* parameters[] = {&a, &b, wide, &c, &d, &out};
  CHECK_EQUAL(cuLaunchKernel(kernel, 1, 1, 1, 32, 1, 1, 0, capture.stream, parameters, nullptr), 0);
  a = 0;
  b = c = 0;
  d = 0;
  std::fill(wide, wide + 32, 0);
  CHECK_EQUAL(capture.end(), 0);
  CHECK_EQUAL(cuGraphLaunch(instantiate(capture.graph), capture.stream), 0);
  CHECK_EQUAL(download<double>(out, 1)[0], 4331.5);
}

TEST(driver_capture_refusals) {
  OwnContext context;
  CUdeviceptr memory = allocate(64), unused;
  CUstream idle = new_stream();
  CUgraph graph;
  CHECK_EQUAL(cuStreamEndCapture(idle, &graph), 401);
  CHECK_EQUAL(cuStreamBeginCapture_v2(nullptr, GLOBAL), 900);
  CHECK_EQUAL(cuStreamBeginCapture_v2(idle, 3), 1);
  {
    Capturing c;
    CHECK_EQUAL(cuStreamBeginCapture_v2(c.stream, GLOBAL), 401);
    CHECK_EQUAL(cuStreamSynchronize(c.stream), 900);
    CHECK_EQUAL(c.status(), 2);
    CHECK_EQUAL(cuMemsetD32Async(memory, 0, 1, c.stream), 901);
    CHECK_EQUAL(c.end(), 901);
    CHECK(c.graph == nullptr);
    CHECK_EQUAL(cuStreamSynchronize(c.stream), 0);
  }
  for (int call = 0; call < 5; call++) {
    Capturing c;
    CUresult result = call == 0   ? cuMemAlloc_v2(&unused, 64)
                      : call == 1 ? cuMemFree_v2(memory)
                      : call == 2 ? cuCtxSynchronize()
                      : call == 3 ? cuMemcpyHtoD_v2(memory, &unused, 8)
                                  : cuEventQuery(new_event());
    CHECK_EQUAL(result, 900);
    CHECK_EQUAL(c.end(), 901);
  }
  {
    Capturing c(1, RELAXED); // permits what may synchronise behind the scenes
    CHECK_EQUAL(cuMemAlloc_v2(&unused, 64), 0);
    CHECK_EQUAL(cuMemAllocAsync(&unused, 64, c.stream), 801);
    CHECK_EQUAL(c.end(), 901);
  }
  {
    Capturing c(0); // a blocking stream: the default stream would have to wait for it
    CHECK_EQUAL(cuMemsetD8_v2(memory, 0, 64), 906);
    CHECK_EQUAL(c.end(), 901);
  }
  {
    Capturing c(1);
    CHECK_EQUAL(cuMemsetD8_v2(memory, 0, 64), 0);
    CHECK_EQUAL(cuMemsetD32Async(memory, 0, 17, c.stream), 1); // ranges are checked at capture too
    CHECK_EQUAL(c.end(), 0);
    CHECK_EQUAL(cuGraphDestroy(c.graph), 0);
    CHECK_EQUAL(cuGraphDestroy(c.graph), 1);
  }
}

TEST(driver_capture_and_threads) {
  OwnContext context;
  auto allocate_elsewhere = [&] {
    CUresult result = -1;
    std::thread([&] {
      CUdeviceptr unused;
      cuCtxSetCurrent(context.handle());
      result = cuMemAlloc_v2(&unused, 64);
    }).join();
    return result;
  };
  Capturing global(1, GLOBAL);
  CHECK_EQUAL(allocate_elsewhere(), 900);
  CHECK_EQUAL(global.end(), 901);
  Capturing tolerated(1, GLOBAL); // this thread asks for what the capture would forbid
  int mode = RELAXED;
  CUdeviceptr unused;
  CHECK_EQUAL(cuThreadExchangeStreamCaptureMode(&mode), 0);
  CHECK_EQUAL(mode, GLOBAL);
  CHECK_EQUAL(cuMemAlloc_v2(&unused, 64), 0);
  CHECK_EQUAL(cuThreadExchangeStreamCaptureMode(&mode), 0);
  CHECK_EQUAL(mode, RELAXED);
  CHECK_EQUAL(tolerated.end(), 0);
  Capturing local(1, THREAD_LOCAL);
  CHECK_EQUAL(allocate_elsewhere(), 0);
  CUresult ended = -1;
  std::thread([&] {
    cuCtxSetCurrent(context.handle());
    ended = local.end();
  }).join();
  CHECK_EQUAL(ended, 908);
  CHECK_EQUAL(local.end(), 0);
}

TEST(driver_capture_fork_and_join) {
  OwnContext context;
  Scale scale;
  CUdeviceptr x = upload(std::vector<float>(64, 2)), y = allocate(256), z = allocate(256);
  CUstream side = new_stream();
  CUevent forked = new_event(), joined = new_event();
  Capturing main;
  CHECK_EQUAL(scale(x, y, 64, 3, main.stream), 0);
  CHECK_EQUAL(cuEventRecord(forked, main.stream), 0);
  CHECK_EQUAL(cuStreamWaitEvent(side, forked, 0), 0);
  CHECK_EQUAL(scale(y, z, 64, 5, side), 0);
  CHECK_EQUAL(cuEventQuery(forked), 907);
  CHECK_EQUAL(main.end(), 901); // asking about a captured event has spoilt it

  Capturing again;
  CHECK_EQUAL(cuEventRecord(forked, again.stream), 0);
  CHECK_EQUAL(cuStreamWaitEvent(side, forked, 0), 0);
  CHECK_EQUAL(scale(x, y, 64, 5, side), 0);
  CUgraph graph;
  CHECK_EQUAL(cuStreamEndCapture(side, &graph), 903);
  CHECK_EQUAL(again.end(), 904); // the side stream was never joined

  Capturing whole;
  CHECK_EQUAL(scale(x, y, 64, 3, whole.stream), 0);
  CHECK_EQUAL(cuEventRecord(forked, whole.stream), 0);
  CHECK_EQUAL(cuStreamWaitEvent(side, forked, 0), 0);
  CHECK_EQUAL(scale(y, z, 64, 5, side), 0);
  CHECK_EQUAL(cuEventRecord(joined, side), 0);
  CHECK_EQUAL(cuStreamWaitEvent(whole.stream, joined, 0), 0);
  CHECK_EQUAL(scale(z, x, 64, 0.1f, whole.stream), 0);
  CHECK_EQUAL(whole.end(), 0);
  CUgraphExec exec = instantiate(whole.graph);
  CHECK_EQUAL(cuGraphLaunch(exec, side), 0);
  CHECK_EQUAL(download<float>(z, 64)[63], 30.f);
  CHECK_EQUAL(download<float>(x, 64)[63], 3.f);
}

TEST(driver_capture_isolation) {
  OwnContext context;
  CUevent outside = new_event();
  CUstream other = new_stream();
  CHECK_EQUAL(cuEventRecord(outside, other), 0);
  Capturing c;
  CHECK_EQUAL(cuStreamWaitEvent(c.stream, outside, 0), 905);
  CHECK_EQUAL(c.end(), 901);
  Capturing gone;
  CHECK_EQUAL(cuStreamDestroy_v2(gone.stream), 0); // its capture goes with it
  CUdeviceptr memory = allocate(16);
  CHECK_EQUAL(cuMemFree_v2(memory), 0);
}
