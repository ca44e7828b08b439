// SPDX-License-Identifier: Apache-2.0
// Graphs made by hand, changed parameters, and replays that meet stale memory.
#include "driver_api.h"

using namespace selftest;

namespace {

// Parameters of a launch of `scale`, kept together with the values that they point at
struct ScaleNode {
  ScaleNode(const Scale& scale, CUdeviceptr x, CUdeviceptr y, float factor) : x(x), y(y), factor(factor) {
    parameters.func = scale.kernel;
    parameters.gridDimX = parameters.gridDimY = parameters.gridDimZ = 1;
    parameters.blockDimX = 64;
    parameters.blockDimY = parameters.blockDimZ = 1;
    parameters.kernelParams = values;
  }
  CUdeviceptr x, y;
  int n = 64;
  float factor;
  void* values[4] = {&x, &y, &n, &factor};
  CUDA_KERNEL_NODE_PARAMS parameters = {};
};

} // namespace

TEST(driver_graph_by_hand) {
  OwnContext context;
  Scale scale;
  CUdeviceptr x = upload(std::vector<float>(64, 2)), y = upload(std::vector<float>(64, 0));
  ScaleNode triple(scale, x, y, 3), halve(scale, y, x, 0.5f);
  CUgraph graph, twin;
  CUgraphNode first, second, clear;
  CHECK_EQUAL(cuGraphCreate(&graph, 0), 0);
  // added in the wrong order: the dependencies decide
  CHECK_EQUAL(cuGraphAddKernelNode_v2(&second, graph, nullptr, 0, &halve.parameters), 0);
  CHECK_EQUAL(cuGraphAddKernelNode_v2(&first, graph, nullptr, 0, &triple.parameters), 0);
  CHECK_EQUAL(cuGraphAddDependencies(graph, &first, &second, 1), 0);
  CHECK_EQUAL(cuGraphAddDependencies(graph, &first, &second, 1), 1);
  CUDA_MEMSET_NODE_PARAMS zero = {y, 0, 0, 4, 64, 1};
  CHECK_EQUAL(cuGraphAddMemsetNode(&clear, graph, &second, 1, &zero, context.handle()), 0);
  std::vector<float> seen(64);
  CUDA_MEMCPY3D fetch = {};
  fetch.srcMemoryType = CU_MEMORYTYPE_DEVICE;
  fetch.srcDevice = y;
  fetch.dstMemoryType = CU_MEMORYTYPE_HOST;
  fetch.dstHost = seen.data();
  fetch.WidthInBytes = 64 * sizeof(float);
  fetch.Height = fetch.Depth = 1;
  CUgraphNode copy;
  CHECK_EQUAL(cuGraphAddMemcpyNode(&copy, graph, &first, 1, &fetch, context.handle()), 0);
  CHECK_EQUAL(cuGraphAddDependencies(graph, &copy, &clear, 1), 0);
  int type = -1;
  CHECK_EQUAL(cuGraphNodeGetType(clear, &type), 0);
  CHECK_EQUAL(type, 2);
  CUDA_KERNEL_NODE_PARAMS got;
  CHECK_EQUAL(cuGraphKernelNodeGetParams_v2(first, &got), 0);
  CHECK_EQUAL(*static_cast<float*>(got.kernelParams[3]), 3.f);
  CHECK_EQUAL(got.blockDimX, 64u);
  CHECK_EQUAL(cuGraphKernelNodeGetParams_v2(clear, &got), 1);
  CHECK_EQUAL(cuGraphClone(&twin, graph), 0);

  CUgraphExec exec = instantiate(graph), twin_exec = instantiate(twin);
  CHECK_EQUAL(cuGraphLaunch(exec, nullptr), 0);
  CHECK_EQUAL(download<float>(x, 64)[5], 3.f);
  CHECK_EQUAL(download<float>(y, 64)[5], 0.f);
  CHECK_EQUAL(seen[63], 6.f);
  triple.factor = 10;
  CHECK_EQUAL(cuGraphExecKernelNodeSetParams_v2(exec, first, &triple.parameters), 0);
  CHECK_EQUAL(cuGraphExecKernelNodeSetParams_v2(exec, clear, &triple.parameters), 1);
  CHECK_EQUAL(cuGraphLaunch(exec, nullptr), 0);
  CHECK_EQUAL(download<float>(x, 64)[5], 15.f);
  CHECK_EQUAL(cuGraphLaunch(twin_exec, nullptr), 0); // still three times
  CHECK_EQUAL(download<float>(x, 64)[5], 22.5f);

  CHECK_EQUAL(cuGraphAddDependencies(graph, &second, &first, 1), 0); // a cycle
  CHECK_EQUAL(cuGraphInstantiateWithFlags(&exec, graph, 0), 1);
  CHECK_EQUAL(cuGraphDestroy(graph), 0);
  CHECK_EQUAL(cuGraphAddDependencies(twin, &first, &second, 1), 1); // nodes of the destroyed graph
  CHECK_EQUAL(cuGraphDestroy(twin), 0);
}

TEST(driver_graph_with_freed_memory) {
  OwnContext context;
  CUstream stream = new_stream();
  CUdeviceptr memory = allocate(256);
  CUgraph graph;
  CHECK_EQUAL(cuStreamBeginCapture_v2(stream, 0), 0);
  CHECK_EQUAL(cuMemsetD32Async(memory, 1, 64, stream), 0);
  CHECK_EQUAL(cuStreamEndCapture(stream, &graph), 0);
  CUgraphExec exec = instantiate(graph);
  CHECK_EQUAL(cuGraphLaunch(exec, stream), 0);
  CHECK_EQUAL(cuMemFree_v2(memory), 0);
  CHECK_EQUAL(cuGraphLaunch(exec, stream), 700);
  CHECK_CONTAINS(emu::take_reports(), "outside of any live allocation");
  CHECK_EQUAL(cuStreamSynchronize(stream), 700);
  CHECK_EQUAL(cuGraphExecDestroy(exec), 0);
  CHECK_EQUAL(cuGraphDestroy(graph), 0);
}

TEST(driver_graph_host_node) {
  OwnContext context;
  CUstream stream = new_stream();
  CUgraph graph;
  int calls = 0;
  CHECK_EQUAL(cuStreamBeginCapture_v2(stream, 0), 0);
  CHECK_EQUAL(cuLaunchHostFunc(stream, [](void* p) { ++*static_cast<int*>(p); }, &calls), 0);
  CHECK_EQUAL(cuStreamEndCapture(stream, &graph), 0);
  CUgraphExec exec = instantiate(graph);
  CHECK_EQUAL(calls, 0);
  CHECK_EQUAL(cuGraphLaunch(exec, stream), 0);
  CHECK_EQUAL(cuGraphLaunch(exec, stream), 0);
  CHECK_EQUAL(calls, 2);

  // launching into a capture copies the nodes
  CUgraph outer;
  CHECK_EQUAL(cuStreamBeginCapture_v2(stream, 0), 0);
  CHECK_EQUAL(cuGraphLaunch(exec, stream), 0);
  CHECK_EQUAL(cuStreamEndCapture(stream, &outer), 0);
  CHECK_EQUAL(calls, 2);
  CHECK_EQUAL(cuGraphLaunch(instantiate(outer), stream), 0);
  CHECK_EQUAL(calls, 3);
}
