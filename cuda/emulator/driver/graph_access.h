// SPDX-License-Identifier: Apache-2.0
// Entry guards of the graph calls. About a wrong graph or node CUDA answers INVALID_VALUE, not INVALID_HANDLE.
#pragma once

#include "capture.h"

namespace emu::driver {

template <class Body> CUresult with_graph(CUgraph handle, const Body& body) {
  return with_driver([&]() -> CUresult {
    auto* graph = state().registry.find<Graph>(handle);
    return graph ? body(*graph) : CUresult(CUDA_ERROR_INVALID_VALUE);
  });
}

template <class Body> CUresult with_node(CUgraphNode handle, const Body& body) {
  return with_driver([&]() -> CUresult {
    auto* node = state().registry.find<Node>(handle);
    return node ? body(*node) : CUresult(CUDA_ERROR_INVALID_VALUE);
  });
}

} // namespace emu::driver
