// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.model;

import dev.diffusionvl.runtime.Graph;
import dev.diffusionvl.runtime.Stream;
import java.util.HashMap;
import java.util.HashSet;
import java.util.Map;
import java.util.Set;

/**
 * Forward passes as CUDA graphs, one for each shape. What differs between two passes of a shape (lengths, positions, tokens, counters, how
 * a sequence is decided) is in device memory, so that a graph serves every step of every block.
 */
final class PassGraphs implements AutoCloseable {
  private final Map<Object, Graph> graphs = new HashMap<>();
  private final Set<Object> launched = new HashSet<>(); // shapes that ran without a graph once

  /**
   * Queues a pass. The first of its shape runs as it is, which loads kernels and lets cuBLAS choose its algorithm; the second is captured.
   *
   * @param shape equal for passes that launch the same kernels on the same memory with the same scalars
   */
  void run(Stream stream, Object shape, Runnable pass) {
    Graph graph = graphs.get(shape);
    if (graph == null && launched.add(shape)) {
      pass.run();
      return;
    }
    if (graph == null) {
      graph = Graph.capture(stream, pass);
      graphs.put(shape, graph);
    }
    graph.launch(stream);
  }

  @Override
  public void close() {
    graphs.values().forEach(Graph::close);
    graphs.clear();
  }
}
