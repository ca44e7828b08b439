// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.runtime;

import jcuda.driver.CUgraph;
import jcuda.driver.CUgraphExec;
import jcuda.driver.JCudaDriver;

/**
 * A CUDA graph: work queued once on a capturing stream, then launched as often as wanted by a single call. Kernel arguments are copied at
 * capture, so a replay sees the same addresses and scalars; what should differ between replays goes through device memory.
 *
 * {@snippet :
 * try (Graph graph = Graph.capture(stream, () -> kernels.swiglu.launch(stream, gateUp, out, rows, width))) {
 *   for (int i = 0; i < 100; i++) {
 *     graph.launch(stream);
 *   }
 * }
 * }
 *
 * <p>Two launches of one graph never overlap on the device. For one thread at a time, like a stream.
 */
public final class Graph extends Handle {
  private static final int THREAD_LOCAL = 1; // CU_STREAM_CAPTURE_MODE_THREAD_LOCAL: what other threads do does not matter

  private final CUgraphExec handle;
  private final int nodes;
  private final Uses uses;

  private Graph(Device device, CUgraphExec handle, int nodes, Uses uses) {
    super(device);
    this.handle = handle;
    this.nodes = nodes;
    this.uses = uses;
    uses.complete();
    track();
  }

  /**
   * Captures what {@code work} queues on the stream: kernels, copies, fills, matrix products, other graphs. None of it runs. The
   * work may neither wait for the stream nor allocate device memory; kernels may be used for the first time.
   *
   * @throws RuntimeException what the work threw; the stream is as usable as before
   * @throws CudaException when the driver refused the capture, naming the call
   */
  public static Graph capture(Stream stream, Runnable work) {
    Uses uses = stream.beginCapture();
    Pointers.GraphHandle captured = captured(stream, work);
    try {
      return instantiate(stream.device(), captured, uses);
    } finally {
      JCudaDriver.cuGraphDestroy(captured);
    }
  }

  /** Runs the work between the begin and the end of a capture; both have their end if anything fails. */
  private static Pointers.GraphHandle captured(Stream stream, Runnable work) {
    Pointers.GraphHandle captured = new Pointers.GraphHandle();
    try {
      Cuda.check(JCudaDriver.cuStreamBeginCapture(stream.handle(), THREAD_LOCAL), "cuStreamBeginCapture");
      int status;
      Throwable failure = null;
      try {
        work.run();
      } catch (RuntimeException | Error e) {
        failure = e;
        throw e;
      } finally {
        status = JCudaDriver.cuStreamEndCapture(stream.handle(), captured);
        if (failure != null && status == 0) {
          JCudaDriver.cuGraphDestroy(captured);
        }
      }
      Cuda.check(status, "cuStreamEndCapture", "the captured work waited for a stream, allocated or freed memory");
      return captured;
    } finally {
      stream.endCapture();
    }
  }

  private static Graph instantiate(Device device, CUgraph captured, Uses uses) {
    long[] nodes = new long[1];
    Cuda.check(JCudaDriver.cuGraphGetNodes(captured, null, nodes), "cuGraphGetNodes");
    CUgraphExec handle = new CUgraphExec();
    Cuda.check(JCudaDriver.cuGraphInstantiate(handle, captured, 0), "cuGraphInstantiate", nodes[0] + " nodes");
    return new Graph(device, handle, Math.toIntExact(nodes[0]), uses);
  }

  /**
   * Queues all of the graph's work. Allocates nothing.
   *
   * @param stream any stream of the graph's device; if it is being captured, the graph becomes a part of the other one
   * @throws IllegalStateException when the graph, or a handle that it uses, is closed
   */
  public void launch(Stream stream) {
    enter();
    if (stream.device() != device()) {
      throw new IllegalArgumentException("the graph was captured on another device than the stream's");
    }
    uses.checkOpen();
    stream.uses(uses);
    Cuda.check(JCudaDriver.cuGraphLaunch(handle, stream.handle()), "cuGraphLaunch");
  }

  /** Number of nodes: launches, copies, fills and products; another graph is one. */
  public int nodes() {
    return nodes;
  }

  /** A launch in progress ends undisturbed. */
  @Override
  void destroy() {
    JCudaDriver.cuGraphExecDestroy(handle);
  }

  @Override
  public String toString() {
    return "graph of " + nodes + " nodes";
  }
}
