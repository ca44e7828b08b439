// SPDX-License-Identifier: Apache-2.0
// Graph nodes: adding them by hand, and changing the parameters of nodes and of instantiated graphs.
#include <algorithm>

#include "copy_boxes.h"
#include "graph_access.h"
#include "launch.h"

namespace emu::driver {
namespace {

CUresult add(CUgraphNode* out, CUgraph handle, const CUgraphNode* dependencies, size_t count, Work work) {
  auto* graph = state().registry.find<Graph>(handle);
  if (!out || !graph || (count && !dependencies)) return CUDA_ERROR_INVALID_VALUE;
  std::vector<Node*> before;
  for (size_t i = 0; i < count; i++) {
    auto* node = state().registry.find<Node>(dependencies[i]);
    if (!node || node->graph != graph || std::find(before.begin(), before.end(), node) != before.end()) {
      return CUDA_ERROR_INVALID_VALUE;
    }
    before.push_back(node);
  }
  *out = handle_of<CUgraphNode>(add_node(*graph, std::move(work), before));
  return CUDA_SUCCESS;
}

// ---- parameters as work
CUresult work_of(const Context& context, const CUDA_KERNEL_NODE_PARAMS* p, Work& out) {
  if (!p) return CUDA_ERROR_INVALID_VALUE;
  const Function* function;
  emu::LaunchConfig config;
  LaunchShape shape = {{p->gridDimX, p->gridDimY, p->gridDimZ}, {p->blockDimX, p->blockDimY, p->blockDimZ},
                       p->sharedMemBytes};
  CUresult error = prepare_launch(context, p->func, shape, p->kernelParams, p->extra, function, config);
  if (!error) out = KernelWork{p->func, config, Arguments(*function->kernel, p->kernelParams)};
  return error;
}

CUresult work_of(const Context& context, const CUDA_MEMSET_NODE_PARAMS* p, Work& out) {
  if (!p || (p->elementSize != 1 && p->elementSize != 2 && p->elementSize != 4)) return CUDA_ERROR_INVALID_VALUE;
  out = FillWork{reinterpret_cast<char*>(p->dst), p->value, p->elementSize, p->width, p->height, p->pitch};
  return check(context, out);
}

CUresult work_of(const Context& context, const CUDA_MEMCPY3D* p, Work& out) {
  CopyWork copy;
  if (CUresult error = box_of(p, copy)) return error;
  out = copy;
  return check(context, out);
}

CUresult work_of(const Context&, const CUDA_HOST_NODE_PARAMS* p, Work& out) {
  if (!p || !p->fn) return CUDA_ERROR_INVALID_VALUE;
  out = HostWork{p->fn, p->userData};
  return CUDA_SUCCESS;
}

template <class Parameters>
CUresult add_with(CUgraphNode* out, CUgraph graph, const CUgraphNode* dependencies, size_t count, const Parameters* p) {
  return with_context([&](Context& context) -> CUresult {
    Work work;
    CUresult error = work_of(context, p, work);
    return error ? error : add(out, graph, dependencies, count, std::move(work));
  });
}

template <class Parameters> CUresult set_node(CUgraphNode handle, const Parameters* p) {
  return with_context([&](Context& context) -> CUresult {
    auto* node = state().registry.find<Node>(handle);
    Work work;
    if (CUresult error = work_of(context, p, work)) return error;
    if (!node || node->work.index() != work.index()) return CUDA_ERROR_INVALID_VALUE;
    node->work = std::move(work);
    return CUDA_SUCCESS;
  });
}

// The node is the one that the graph was instantiated from; launches in progress keep the old parameters.
template <class Parameters> CUresult set_exec_node(CUgraphExec exec_handle, CUgraphNode origin, const Parameters* p) {
  return with_context([&](Context& context) -> CUresult {
    auto* exec = state().registry.find<GraphExec>(exec_handle);
    Work work;
    if (!exec) return CUDA_ERROR_INVALID_VALUE;
    if (CUresult error = work_of(context, p, work)) return error;
    auto items = std::make_shared<std::vector<GraphExec::Item>>(*exec->items);
    auto item = std::find_if(items->begin(), items->end(), [&](const auto& i) { return i.origin == origin; });
    if (item == items->end() || item->work.index() != work.index()) return CUDA_ERROR_INVALID_VALUE;
    item->work = std::move(work);
    exec->items = std::move(items);
    return CUDA_SUCCESS;
  });
}

template <class Part, class Body> CUresult with_part(CUgraphNode handle, const void* out, const Body& body) {
  return with_node(handle, [&](Node& node) -> CUresult {
    auto* part = std::get_if<Part>(&node.work);
    if (!part || !out) return CUDA_ERROR_INVALID_VALUE;
    body(*part);
    return CUDA_SUCCESS;
  });
}

} // namespace
} // namespace emu::driver

using namespace emu::driver;

CUDA_API CUresult cuGraphNodeGetType(CUgraphNode handle, int* type) {
  return with_node(handle, [&](Node& node) {
    return type ? (*type = type_of(node.work), CUDA_SUCCESS) : CUDA_ERROR_INVALID_VALUE;
  });
}

// ---- adding
CUDA_API CUresult cuGraphAddEmptyNode(CUgraphNode* out, CUgraph graph, const CUgraphNode* before, size_t count) {
  return with_context([&](Context&) { return add(out, graph, before, count, EmptyWork{}); });
}
CUDA_API CUresult cuGraphAddKernelNode_v2(CUgraphNode* out, CUgraph graph, const CUgraphNode* before, size_t count,
                                          const CUDA_KERNEL_NODE_PARAMS* p) {
  return add_with(out, graph, before, count, p);
}
CUDA_API CUresult cuGraphAddMemsetNode(CUgraphNode* out, CUgraph graph, const CUgraphNode* before, size_t count,
                                       const CUDA_MEMSET_NODE_PARAMS* p, CUcontext) {
  return add_with(out, graph, before, count, p);
}
CUDA_API CUresult cuGraphAddMemcpyNode(CUgraphNode* out, CUgraph graph, const CUgraphNode* before, size_t count,
                                       const CUDA_MEMCPY3D* p, CUcontext) {
  return add_with(out, graph, before, count, p);
}
CUDA_API CUresult cuGraphAddHostNode(CUgraphNode* out, CUgraph graph, const CUgraphNode* before, size_t count,
                                     const CUDA_HOST_NODE_PARAMS* p) {
  return add_with(out, graph, before, count, p);
}

// ---- changing
CUDA_API CUresult cuGraphKernelNodeSetParams_v2(CUgraphNode node, const CUDA_KERNEL_NODE_PARAMS* p) {
  return set_node(node, p);
}
CUDA_API CUresult cuGraphMemcpyNodeSetParams(CUgraphNode node, const CUDA_MEMCPY3D* p) { return set_node(node, p); }
CUDA_API CUresult cuGraphHostNodeSetParams(CUgraphNode node, const CUDA_HOST_NODE_PARAMS* p) {
  return set_node(node, p);
}
CUDA_API CUresult cuGraphExecKernelNodeSetParams_v2(CUgraphExec exec, CUgraphNode node,
                                                    const CUDA_KERNEL_NODE_PARAMS* p) {
  return set_exec_node(exec, node, p);
}
CUDA_API CUresult cuGraphExecMemcpyNodeSetParams(CUgraphExec exec, CUgraphNode node, const CUDA_MEMCPY3D* p,
                                                 CUcontext) {
  return set_exec_node(exec, node, p);
}
CUDA_API CUresult cuGraphExecMemsetNodeSetParams(CUgraphExec exec, CUgraphNode node, const CUDA_MEMSET_NODE_PARAMS* p,
                                                 CUcontext) {
  return set_exec_node(exec, node, p);
}
CUDA_API CUresult cuGraphExecHostNodeSetParams(CUgraphExec exec, CUgraphNode node, const CUDA_HOST_NODE_PARAMS* p) {
  return set_exec_node(exec, node, p);
}

// ---- asking; the parameter values of a kernel node belong to the node and stay valid until it changes
CUDA_API CUresult cuGraphKernelNodeGetParams_v2(CUgraphNode node, CUDA_KERNEL_NODE_PARAMS* out) {
  return with_part<KernelWork>(node, out, [&](KernelWork& work) {
    const auto& c = work.config;
    *out = {work.function, c.grid[0], c.grid[1], c.grid[2], c.block[0], c.block[1], c.block[2],
            unsigned(c.dynamic_smem), work.arguments.values(), nullptr, nullptr, nullptr};
  });
}

CUDA_API CUresult cuGraphMemsetNodeGetParams(CUgraphNode node, CUDA_MEMSET_NODE_PARAMS* out) {
  return with_part<FillWork>(node, out, [&](const FillWork& f) {
    *out = {reinterpret_cast<CUdeviceptr>(f.to), f.pitch, f.value, f.size, f.width, f.height};
  });
}

CUDA_API CUresult cuGraphHostNodeGetParams(CUgraphNode node, CUDA_HOST_NODE_PARAMS* out) {
  return with_part<HostWork>(node, out, [&](const HostWork& h) { *out = {h.function, h.user_data}; });
}
