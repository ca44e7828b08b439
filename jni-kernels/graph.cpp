// SPDX-License-Identifier: Apache-2.0
// Graphs that loop on the device (conditional nodes of type WHILE), and tensor maps.
#include "dev_diffusionvl_runtime_JniCalls.h"
#include "driver.h"

namespace dvl {
namespace {

struct ConditionalNode { // CUgraphNodeParams of a conditional node
  int type = 13;
  int reserved0[3] = {};
  uint64_t handle = 0;
  int condition_type = 1; // while
  unsigned size = 1;
  CUgraph* bodies = nullptr; // out
  CUcontext context = nullptr;
  uint64_t reserved1[26] = {};
};

struct KernelNode { // CUDA_KERNEL_NODE_PARAMS
  CUfunction function;
  unsigned grid[3], block[3], shared_bytes;
  void** parameters;
  void** extra;
  void* kernel;
  CUcontext context;
};

struct MemsetNode { // CUDA_MEMSET_NODE_PARAMS
  uint64_t target;
  size_t pitch;
  unsigned value, element_size;
  size_t width, height;
};

static_assert(sizeof(ConditionalNode) == 256 && sizeof(KernelNode) == 72 && sizeof(MemsetNode) == 40, "CUDA's ABI");

using Nodes = const CUgraphNode*;

} // namespace
} // namespace dvl

using namespace dvl;

// graph: iterations = 0, then { body, then loop_condition } while there is more. In CUDA the body of a loop is a graph that the node
// owns; what was captured becomes a child of it.
extern "C" JNIEXPORT jlong JNICALL Java_dev_diffusionvl_runtime_JniCalls_loop(JNIEnv*, jclass, jlong graph, jlong body,
                                                                             jlong condition_kernel, jlong remaining,
                                                                             jlong iterations, jint limit) {
  static const DriverFunction<CUcontext*> current_context("cuCtxGetCurrent");
  static const DriverFunction<CUgraphNode*, CUgraph, Nodes, size_t, const MemsetNode*, CUcontext> add_memset("cuGraphAddMemsetNode");
  static const DriverFunction<uint64_t*, CUgraph, CUcontext, unsigned, unsigned> create_handle("cuGraphConditionalHandleCreate");
  static const DriverFunction<CUgraphNode*, CUgraph, Nodes, size_t, ConditionalNode*> add_node("cuGraphAddNode");
  static const DriverFunction<CUgraphNode*, CUgraph, Nodes, size_t, CUgraph> add_child("cuGraphAddChildGraphNode");
  static const DriverFunction<CUgraphNode*, CUgraph, Nodes, size_t, const KernelNode*> add_kernel("cuGraphAddKernelNode_v2");
  constexpr unsigned ASSIGN_DEFAULT = 1;

  auto failed = [](int step, CUresult error) { return jlong(step) << 32 | uint32_t(error); }; // step: as JniCalls.LOOP_STEPS
  CUgraph whole = at<void>(graph);
  ConditionalNode loop;
  if (CUresult error = current_context(&loop.context)) return failed(0, error);
  CUgraphNode clear, node, child, condition;
  MemsetNode zero = {uint64_t(iterations), 0, 0, 4, 1, 1};
  if (CUresult error = add_memset(&clear, whole, nullptr, 0, &zero, loop.context)) return failed(1, error);
  if (CUresult error = create_handle(&loop.handle, whole, loop.context, 1, ASSIGN_DEFAULT)) return failed(2, error);
  if (CUresult error = add_node(&node, whole, &clear, 1, &loop)) return failed(3, error);
  if (CUresult error = add_child(&child, loop.bodies[0], nullptr, 0, at<void>(body))) return failed(4, error);
  void* parameters[] = {&loop.handle, &remaining, &iterations, &limit};
  KernelNode kernel = {at<void>(condition_kernel), {1, 1, 1}, {32, 1, 1}, 0, parameters, nullptr, nullptr, nullptr};
  if (CUresult error = add_kernel(&condition, loop.bodies[0], &child, 1, &kernel)) return failed(5, error);
  return 0;
}

// map: 128 bytes, aligned to 64. sizes: rank dimensions, then rank - 1 strides in bytes; boxes: rank box sizes, then rank element strides.
extern "C" JNIEXPORT jint JNICALL Java_dev_diffusionvl_runtime_JniCalls_encodeTiled(JNIEnv* env, jclass, jlong map, jint type,
                                                                                   jlong address, jint rank, jlongArray sizes,
                                                                                   jintArray boxes, jint swizzle) {
  static const DriverFunction<void*, int, unsigned, void*, const uint64_t*, const uint64_t*, const unsigned*, const unsigned*, int, int,
                              int, int>
      encode("cuTensorMapEncodeTiled");
  enum { NO_INTERLEAVE = 0, L2_128_BYTES = 2, FILL_ZEROS = 0 };
  jlong size[9] = {};
  jint box[10] = {};
  env->GetLongArrayRegion(sizes, 0, 2 * rank - 1, size);
  env->GetIntArrayRegion(boxes, 0, 2 * rank, box);
  return encode(at<void>(map), type, unsigned(rank), at<void>(address), reinterpret_cast<uint64_t*>(size),
                reinterpret_cast<uint64_t*>(size + rank), reinterpret_cast<unsigned*>(box), reinterpret_cast<unsigned*>(box + rank),
                NO_INTERLEAVE, swizzle, L2_128_BYTES, FILL_ZEROS);
}
