// SPDX-License-Identifier: Apache-2.0
// Conditional handles and nodes. Of these the emulated device has loops (WHILE).
#include "conditional.h"

#include <algorithm>
#include <mutex>

#include "../device_code.h"
#include "graph_access.h"

namespace emu::driver {
namespace {

constexpr int WHILE = 1;
constexpr unsigned ASSIGN_DEFAULT = 1;

// Of all graphs, for kernels: these run while the driver's lock is held by the thread that launched them.
struct Conditions {
  std::mutex mutex;
  std::map<uint64_t, std::weak_ptr<Condition>> by_handle;
  uint64_t next = 0xc07d'0000'0000;
};

Conditions& conditions() {
  static Conditions* instance = new Conditions; // never destroyed, as the state
  return *instance;
}

uint64_t add(const std::shared_ptr<Condition>& condition) {
  std::lock_guard<std::mutex> lock(conditions().mutex);
  auto& all = conditions().by_handle;
  std::erase_if(all, [](const auto& entry) { return entry.second.expired(); });
  uint64_t handle = conditions().next += 16;
  all[handle] = condition;
  return handle;
}

// The only kinds of node that CUDA allows in a body
bool may_loop(const Work& work) {
  CUgraphNodeType type = type_of(work);
  return type == NODE_KERNEL || type == NODE_EMPTY || type == NODE_GRAPH || type == NODE_MEMSET || type == NODE_MEMCPY ||
         type == NODE_CONDITIONAL;
}

} // namespace

// The graph's work in an order that respects the dependencies; with those of loops filled in.
CUresult list_of(const Graph& graph, bool body, std::shared_ptr<const WorkList>& out) {
  std::vector<Node*> nodes = ordered(graph);
  if (nodes.size() != graph.nodes.size()) return CUDA_ERROR_INVALID_VALUE;
  auto list = std::make_shared<WorkList>();
  for (const Node* node : nodes) {
    if (body && !may_loop(node->work)) return CUDA_ERROR_NOT_SUPPORTED;
    list->all.push_back(node->work);
    if (CUresult error = complete(list->all.back())) return error;
  }
  out = list;
  return CUDA_SUCCESS;
}

CUresult complete(Work& work) {
  auto* loop = std::get_if<LoopWork>(&work);
  return loop ? list_of(*loop->body, true, loop->items) : CUDA_SUCCESS;
}

} // namespace emu::driver

void emu::set_condition(uint64_t handle, unsigned value, Site site) {
  auto& all = driver::conditions();
  std::shared_ptr<driver::Condition> condition;
  {
    std::lock_guard<std::mutex> lock(all.mutex);
    auto found = all.by_handle.find(handle);
    if (found != all.by_handle.end()) condition = found->second.lock();
  }
  if (!condition) trap("sets the condition of a handle that no graph has", site);
  condition->value = value;
}

using namespace emu::driver;

CUDA_API CUresult cuGraphConditionalHandleCreate(uint64_t* out, CUgraph handle, CUcontext, unsigned initial, unsigned flags) {
  return with_graph(handle, [&](Graph& graph) -> CUresult {
    if (!out || flags & ~ASSIGN_DEFAULT) return CUDA_ERROR_INVALID_VALUE;
    auto condition = std::make_shared<Condition>(initial, initial, (flags & ASSIGN_DEFAULT) != 0);
    *out = add(condition);
    graph.conditions[*out] = condition;
    return CUDA_SUCCESS;
  });
}

CUDA_API CUresult cuGraphAddNode(CUgraphNode* out, CUgraph handle, const CUgraphNode* dependencies, size_t count,
                                 CUgraphNodeParams* p) {
  return with_graph(handle, [&](Graph& graph) -> CUresult {
    if (!out || !p || (count && !dependencies)) return CUDA_ERROR_INVALID_VALUE;
    if (p->type != NODE_CONDITIONAL || p->condition_type != WHILE) {
      emu::complain("cuGraphAddNode: of the kinds of node the emulated device has loops only");
      return CUDA_ERROR_NOT_SUPPORTED;
    }
    auto condition = graph.conditions.find(p->handle);
    if (condition == graph.conditions.end() || p->size != 1) return CUDA_ERROR_INVALID_VALUE;
    std::vector<Node*> before;
    for (size_t i = 0; i < count; i++) {
      auto* node = state().registry.find<Node>(dependencies[i]);
      if (!node || node->graph != &graph) return CUDA_ERROR_INVALID_VALUE;
      before.push_back(node);
    }
    Graph* body = new_graph();
    Node* node = add_node(graph, LoopWork{condition->second, body, nullptr}, before);
    condition->second->body = handle_of<CUgraph>(body);
    p->bodies = &condition->second->body;
    *out = handle_of<CUgraphNode>(node);
    return CUDA_SUCCESS;
  });
}

CUDA_API CUresult cuGraphAddChildGraphNode(CUgraphNode* out, CUgraph handle, const CUgraphNode* dependencies, size_t count,
                                           CUgraph child_handle) {
  return with_graph(handle, [&](Graph& graph) -> CUresult {
    auto* child = state().registry.find<Graph>(child_handle);
    if (!out || !child || child == &graph || (count && !dependencies)) return CUDA_ERROR_INVALID_VALUE;
    std::vector<Node*> before;
    for (size_t i = 0; i < count; i++) {
      auto* node = state().registry.find<Node>(dependencies[i]);
      if (!node || node->graph != &graph) return CUDA_ERROR_INVALID_VALUE;
      before.push_back(node);
    }
    bool conditional = std::any_of(child->nodes.begin(), child->nodes.end(),
                                   [](const Node* node) { return std::holds_alternative<LoopWork>(node->work); });
    if (conditional) return CUDA_ERROR_NOT_SUPPORTED; // CUDA does not copy these either
    std::shared_ptr<const WorkList> items;
    if (CUresult error = list_of(*child, false, items)) return error;
    *out = handle_of<CUgraphNode>(add_node(graph, ChildWork{items}, before));
    return CUDA_SUCCESS;
  });
}
