// SPDX-License-Identifier: Apache-2.0
// Loops in graphs, graphs in graphs, and what neither may hold; parameters of kernels; tensor maps.
#include "driver_api.h"

using namespace selftest;

namespace {

constexpr unsigned ASSIGN_DEFAULT = 1;

struct Loop {
  explicit Loop(unsigned initial = 1, unsigned flags = ASSIGN_DEFAULT) {
    CHECK_EQUAL(cuGraphCreate(&graph, 0), 0);
    parameters.type = NODE_CONDITIONAL;
    parameters.condition_type = 1;
    parameters.size = 1;
    CHECK_EQUAL(cuGraphConditionalHandleCreate(&parameters.handle, graph, nullptr, initial, flags), 0);
    CHECK_EQUAL(cuGraphAddNode(&node, graph, nullptr, 0, &parameters), 0);
  }
  CUgraph body() const { return parameters.bodies[0]; }
  void add(CUfunction kernel, CUdeviceptr left) {
    void* values[] = {&parameters.handle, &left};
    CUDA_KERNEL_NODE_PARAMS p = {kernel, 1, 1, 1, 1, 1, 1, 0, values, nullptr, nullptr, nullptr};
    CUgraphNode added;
    CHECK_EQUAL(cuGraphAddKernelNode_v2(&added, body(), nullptr, 0, &p), 0);
  }
  CUgraph graph;
  CUgraphNode node;
  CUgraphNodeParams parameters = {};
};

int left(CUdeviceptr counter) { return download<int>(counter, 1)[0]; }

} // namespace

TEST(driver_loop_runs_while_its_condition_holds) {
  OwnContext context;
  CUfunction count_down = function("features", "count_down");
  CUdeviceptr counter = upload(std::vector<int>{5});
  Loop loop;
  loop.add(count_down, counter);
  int type = -1;
  CHECK_EQUAL(cuGraphNodeGetType(loop.node, &type), 0);
  CHECK_EQUAL(type, int(NODE_CONDITIONAL));
  CUgraphExec exec = instantiate(loop.graph);
  CHECK_EQUAL(cuGraphDestroy(loop.graph), 0); // the loop outlives the graph that it was made from
  CHECK_EQUAL(cuGraphLaunch(exec, nullptr), 0);
  CHECK_EQUAL(left(counter), 0);
  CHECK_EQUAL(cuGraphLaunch(exec, nullptr), 0); // assigned anew: the body runs once
  CHECK_EQUAL(left(counter), -1);
  CHECK_EQUAL(cuGraphExecDestroy(exec), 0);
}

TEST(driver_loop_whose_condition_starts_at_zero) {
  OwnContext context;
  CUdeviceptr counter = upload(std::vector<int>{5});
  Loop loop(0);
  loop.add(function("features", "count_down"), counter);
  CHECK_EQUAL(cuGraphLaunch(instantiate(loop.graph), nullptr), 0);
  CHECK_EQUAL(left(counter), 5);
}

TEST(driver_loop_bodies_and_graphs_in_graphs) {
  OwnContext context;
  Scale scale;
  CUdeviceptr x = upload(std::vector<float>(64, 1)), counter = upload(std::vector<int>{3});
  CUstream stream = new_stream();
  CUgraph doubling;
  CHECK_EQUAL(cuStreamBeginCapture_v2(stream, 0), 0);
  CHECK_EQUAL(scale(x, x, 64, 2, stream), 0);
  CHECK_EQUAL(cuStreamEndCapture(stream, &doubling), 0);
  Loop loop;
  CUgraphNode child, outer;
  CHECK_EQUAL(cuGraphAddChildGraphNode(&child, loop.body(), nullptr, 0, doubling), 0);
  CHECK_EQUAL(cuGraphDestroy(doubling), 0); // was copied
  loop.add(function("features", "count_down"), counter);
  CUgraphExec exec = instantiate(loop.graph);
  CHECK_EQUAL(cuGraphLaunch(exec, stream), 0);
  CHECK_EQUAL(download<float>(x, 64)[63], 8.f);

  // neither copied into another graph nor captured
  CUgraph other;
  CHECK_EQUAL(cuGraphCreate(&other, 0), 0);
  CHECK_EQUAL(cuGraphAddChildGraphNode(&outer, other, nullptr, 0, loop.graph), 801);
  CHECK_EQUAL(cuGraphClone(&other, loop.graph), 801);
  CHECK_EQUAL(cuStreamBeginCapture_v2(stream, 0), 0);
  CHECK_EQUAL(cuGraphLaunch(exec, stream), 801);
  CHECK_EQUAL(cuStreamEndCapture(stream, &other), 0);

  // a host function cannot be in a body
  CUDA_HOST_NODE_PARAMS host = {[](void*) {}, nullptr};
  CUgraphExec refused;
  CHECK_EQUAL(cuGraphAddHostNode(&outer, loop.body(), nullptr, 0, &host), 0);
  CHECK_EQUAL(cuGraphInstantiateWithFlags(&refused, loop.graph, 0), 801);
}

TEST(driver_wrong_conditional_nodes) {
  OwnContext context;
  Loop loop;
  CUgraphNode node;
  CUgraphNodeParams p = loop.parameters;
  p.condition_type = 0; // if
  CHECK_EQUAL(cuGraphAddNode(&node, loop.graph, nullptr, 0, &p), 801);
  p = loop.parameters;
  p.handle++;
  CHECK_EQUAL(cuGraphAddNode(&node, loop.graph, nullptr, 0, &p), 1);
  p = loop.parameters;
  p.size = 2;
  CHECK_EQUAL(cuGraphAddNode(&node, loop.graph, nullptr, 0, &p), 1);
  uint64_t handle;
  CHECK_EQUAL(cuGraphConditionalHandleCreate(&handle, loop.graph, nullptr, 1, 2), 1);
  CHECK_EQUAL(cuGraphConditionalHandleCreate(nullptr, loop.graph, nullptr, 1, 0), 1);
}

TEST(driver_parameters_of_a_kernel) {
  OwnContext context;
  CUfunction scale = function("features", "scale"); // x, y, n, factor
  size_t offset[4], size[4];
  for (size_t i = 0; i < 4; i++) CHECK_EQUAL(cuFuncGetParamInfo(scale, i, &offset[i], &size[i]), 0);
  CHECK_EQUAL(size[1], 8u);
  CHECK_EQUAL(size[3], 4u);
  CHECK_EQUAL(offset[1], 8u);
  CHECK_EQUAL(offset[3], 20u);
  CHECK_EQUAL(cuFuncGetParamInfo(scale, 4, offset, size), 1);
  CHECK_EQUAL(cuFuncGetParamInfo(scale, 0, nullptr, size), 1);
}

TEST(driver_tensor_maps) {
  OwnContext context;
  alignas(64) unsigned char map[128] = {}, other[128] = {};
  uint64_t dimensions[] = {128, 64}, strides[] = {256};
  unsigned box[] = {64, 32}, steps[] = {1, 1};
  CUdeviceptr x = allocate(128 * 64 * 2);
  auto encode = [&](void* out, int type, unsigned rank, int swizzle) {
    return cuTensorMapEncodeTiled(out, type, rank, reinterpret_cast<void*>(x), dimensions, strides, box, steps, 0, swizzle, 2, 0);
  };
  CHECK_EQUAL(encode(map, 9, 2, 3), 0);
  CHECK_EQUAL(encode(other, 9, 2, 3), 0);
  CHECK_EQUAL(std::memcmp(map, other, 128), 0);
  CHECK_EQUAL(encode(other, 9, 2, 0), 0);
  CHECK_EQUAL(std::memcmp(map, other, 128) != 0, true);
  CHECK_EQUAL(encode(map, 9, 6, 0), 1);
  CHECK_EQUAL(encode(map + 16, 9, 2, 0), 1);
  CHECK_EQUAL(encode(map, 9, 2, 1), 1); // 128 bytes do not fit into a swizzle of 32
  strides[0] = 200;
  CHECK_EQUAL(encode(map, 9, 2, 0), 1);
}
