// SPDX-License-Identifier: Apache-2.0
// Graphs as a whole: creation, dependencies, instantiation, launch.
#include <algorithm>
#include <unordered_map>

#include "capture.h"
#include "graph_access.h"

namespace emu::driver {
namespace {

// Nodes so that each comes after its dependencies, otherwise as they were created; shorter than the graph if it has a cycle.
std::vector<Node*> ordered(const Graph& graph) {
  std::vector<Node*> result, waiting = graph.nodes;
  std::unordered_set<const Node*> placed;
  while (true) {
    std::vector<Node*> later;
    for (Node* node : waiting) {
      bool ready = std::all_of(node->dependencies.begin(), node->dependencies.end(),
                               [&](const Node* d) { return placed.count(d) != 0; });
      if (!ready) {
        later.push_back(node);
        continue;
      }
      placed.insert(node);
      result.push_back(node);
    }
    if (later.empty() || later.size() == waiting.size()) return result;
    waiting.swap(later);
  }
}

using Items = std::vector<GraphExec::Item>;

CUresult instantiate(const Graph& graph, CUgraphExec* out) {
  auto items = std::make_shared<Items>();
  for (const Node* node : ordered(graph)) items->push_back({handle_of<CUgraphNode>(node), node->work});
  if (items->size() != graph.nodes.size()) return CUDA_ERROR_INVALID_VALUE;
  if (!emu::create(EXECUTABLE_GRAPH)) return CUDA_ERROR_OUT_OF_MEMORY;
  auto exec = std::make_unique<GraphExec>();
  exec->items = std::move(items);
  *out = handle_of<CUgraphExec>(state().registry.add(std::move(exec), nullptr));
  return CUDA_SUCCESS;
}

// A replay has no caller who could be told about a stale pointer, so that is an illegal access of the device.
CUresult replay(Context& context, const Work& work) {
  CUresult error = check(context, work);
  if (error == CUDA_ERROR_INVALID_VALUE) {
    emu::add_report("graph launch: a copy or fill node touches memory outside of any live allocation");
    return fault(context, CUDA_ERROR_ILLEGAL_ADDRESS);
  }
  return error ? error : run(context, work);
}

// Up to *count entries of `all`; *count becomes how many there are, or were written. Entries beyond them become null.
CUresult list(const std::vector<Node*>& all, CUgraphNode* out, size_t* count) {
  if (!count) return CUDA_ERROR_INVALID_VALUE;
  if (!out) return *count = all.size(), CUDA_SUCCESS;
  for (size_t i = 0; i < *count; i++) out[i] = i < all.size() ? handle_of<CUgraphNode>(all[i]) : nullptr;
  *count = std::min(*count, all.size());
  return CUDA_SUCCESS;
}

bool depends(const Node& node, const Node* on) {
  return std::find(node.dependencies.begin(), node.dependencies.end(), on) != node.dependencies.end();
}

// Both ends of each edge, checked to be nodes of the graph
CUresult edges_of(const Graph& graph, const CUgraphNode* from, const CUgraphNode* to, size_t count,
                  std::vector<std::pair<Node*, Node*>>& out) {
  if (count && (!from || !to)) return CUDA_ERROR_INVALID_VALUE;
  for (size_t i = 0; i < count; i++) {
    auto* a = state().registry.find<Node>(from[i]);
    auto* b = state().registry.find<Node>(to[i]);
    if (!a || !b || a == b || a->graph != &graph || b->graph != &graph) return CUDA_ERROR_INVALID_VALUE;
    out.emplace_back(a, b);
  }
  return CUDA_SUCCESS;
}

} // namespace
} // namespace emu::driver

using namespace emu::driver;

CUDA_API CUresult cuGraphCreate(CUgraph* out, unsigned flags) {
  return with_driver([&]() -> CUresult {
    if (!out || flags) return CUDA_ERROR_INVALID_VALUE;
    Graph* graph = new_graph();
    if (!graph) return CUDA_ERROR_OUT_OF_MEMORY;
    *out = handle_of<CUgraph>(graph);
    return CUDA_SUCCESS;
  });
}

CUDA_API CUresult cuGraphDestroy(CUgraph handle) {
  return with_graph(handle, [](Graph& graph) {
    destroy_graph(graph);
    return CUDA_SUCCESS;
  });
}

CUDA_API CUresult cuGraphClone(CUgraph* out, CUgraph handle) {
  return with_graph(handle, [&](Graph& graph) -> CUresult {
    if (!out) return CUDA_ERROR_INVALID_VALUE;
    Graph* copy = new_graph();
    if (!copy) return CUDA_ERROR_OUT_OF_MEMORY;
    std::unordered_map<const Node*, Node*> twin;
    for (const Node* node : graph.nodes) twin[node] = add_node(*copy, node->work, {});
    for (const Node* node : graph.nodes) {
      for (const Node* dependency : node->dependencies) twin[node]->dependencies.push_back(twin[dependency]);
    }
    *out = handle_of<CUgraph>(copy);
    return CUDA_SUCCESS;
  });
}

// ---- structure
CUDA_API CUresult cuGraphGetNodes(CUgraph handle, CUgraphNode* nodes, size_t* count) {
  return with_graph(handle, [&](Graph& graph) { return list(graph.nodes, nodes, count); });
}

CUDA_API CUresult cuGraphGetRootNodes(CUgraph handle, CUgraphNode* nodes, size_t* count) {
  return with_graph(handle, [&](Graph& graph) {
    std::vector<Node*> roots;
    std::copy_if(graph.nodes.begin(), graph.nodes.end(), std::back_inserter(roots),
                 [](const Node* node) { return node->dependencies.empty(); });
    return list(roots, nodes, count);
  });
}

CUDA_API CUresult cuGraphGetEdges(CUgraph handle, CUgraphNode* from, CUgraphNode* to, size_t* count) {
  return with_graph(handle, [&](Graph& graph) -> CUresult {
    std::vector<Node*> sources, targets;
    for (Node* node : graph.nodes) {
      for (Node* dependency : node->dependencies) {
        sources.push_back(dependency);
        targets.push_back(node);
      }
    }
    if (!count || !from != !to) return CUDA_ERROR_INVALID_VALUE;
    size_t room = *count;
    list(sources, from, &room);
    return list(targets, to, count);
  });
}

CUDA_API CUresult cuGraphNodeGetDependencies(CUgraphNode handle, CUgraphNode* nodes, size_t* count) {
  return with_node(handle, [&](Node& node) { return list(node.dependencies, nodes, count); });
}

CUDA_API CUresult cuGraphNodeGetDependentNodes(CUgraphNode handle, CUgraphNode* nodes, size_t* count) {
  return with_node(handle, [&](Node& node) {
    std::vector<Node*> dependents;
    std::copy_if(node.graph->nodes.begin(), node.graph->nodes.end(), std::back_inserter(dependents),
                 [&](const Node* other) { return depends(*other, &node); });
    return list(dependents, nodes, count);
  });
}

CUDA_API CUresult cuGraphAddDependencies(CUgraph handle, const CUgraphNode* from, const CUgraphNode* to, size_t count) {
  return with_graph(handle, [&](Graph& graph) -> CUresult {
    std::vector<std::pair<Node*, Node*>> edges;
    if (CUresult error = edges_of(graph, from, to, count, edges)) return error;
    for (auto [a, b] : edges) {
      if (depends(*b, a)) return CUDA_ERROR_INVALID_VALUE;
    }
    for (auto [a, b] : edges) b->dependencies.push_back(a);
    return CUDA_SUCCESS;
  });
}

CUDA_API CUresult cuGraphRemoveDependencies(CUgraph handle, const CUgraphNode* from, const CUgraphNode* to,
                                            size_t count) {
  return with_graph(handle, [&](Graph& graph) -> CUresult {
    std::vector<std::pair<Node*, Node*>> edges;
    if (CUresult error = edges_of(graph, from, to, count, edges)) return error;
    for (auto [a, b] : edges) {
      if (!depends(*b, a)) return CUDA_ERROR_INVALID_VALUE;
    }
    for (auto [a, b] : edges) {
      b->dependencies.erase(std::remove(b->dependencies.begin(), b->dependencies.end(), a), b->dependencies.end());
    }
    return CUDA_SUCCESS;
  });
}

CUDA_API CUresult cuGraphDestroyNode(CUgraphNode handle) {
  return with_node(handle, [](Node& node) {
    auto& nodes = node.graph->nodes;
    nodes.erase(std::find(nodes.begin(), nodes.end(), &node));
    for (Node* other : nodes) {
      auto& d = other->dependencies;
      d.erase(std::remove(d.begin(), d.end(), &node), d.end());
    }
    state().registry.destroy(&node);
    return CUDA_SUCCESS;
  });
}

// ---- execution
CUDA_API CUresult cuGraphInstantiateWithFlags(CUgraphExec* out, CUgraph handle, unsigned long long) {
  return with_context([&](Context&) -> CUresult { // the flags concern placement and memory nodes
    auto* graph = state().registry.find<Graph>(handle);
    if (!out || !graph) return CUDA_ERROR_INVALID_VALUE;
    return instantiate(*graph, out);
  });
}

CUDA_API CUresult cuGraphUpload(CUgraphExec handle, CUstream stream_handle) {
  return with_context([&](Context& context) -> CUresult {
    Stream* stream;
    if (!state().registry.find<GraphExec>(handle)) return CUDA_ERROR_INVALID_VALUE;
    return find_stream(context, stream_handle, stream);
  });
}

CUDA_API CUresult cuGraphLaunch(CUgraphExec handle, CUstream stream_handle) {
  return with_context([&](Context& context) -> CUresult {
    Stream* stream;
    auto* exec = state().registry.find<GraphExec>(handle);
    if (!exec) return CUDA_ERROR_INVALID_VALUE;
    if (CUresult error = find_stream(context, stream_handle, stream)) return error;
    if (CUresult error = refuse_default_stream(context, *stream)) return error;
    auto items = exec->items; // a host node may let another thread destroy the graph
    bool capturing = stream->capture;
    for (const auto& item : *items) {
      CUresult error = capturing ? record(*stream, item.work) : replay(context, item.work);
      if (error) return error;
    }
    return CUDA_SUCCESS;
  });
}

CUDA_API CUresult cuGraphExecDestroy(CUgraphExec handle) {
  return with_driver([&]() -> CUresult {
    auto* exec = state().registry.find<GraphExec>(handle);
    if (!exec) return CUDA_ERROR_INVALID_VALUE;
    state().registry.destroy(exec);
    emu::destroyed(EXECUTABLE_GRAPH);
    return CUDA_SUCCESS;
  });
}
