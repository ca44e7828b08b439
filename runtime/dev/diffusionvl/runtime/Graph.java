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
public final class Graph implements AutoCloseable {
  private static final int THREAD_LOCAL = 1; // CU_STREAM_CAPTURE_MODE_THREAD_LOCAL: what other threads do does not matter

  private final Device device;
  private final CUgraphExec handle;
  private final int nodes;
  private final Uses uses;
  private final boolean loop;
  private boolean closed;

  private Graph(Device device, CUgraphExec handle, int nodes, Uses uses, boolean loop) {
    this.device = device;
    this.handle = handle;
    this.nodes = nodes;
    this.uses = uses;
    this.loop = loop;
    uses.complete();
    LeakTracker.opened(this, "graph of " + nodes + " nodes");
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
    Handles.GraphHandle captured = captured(stream, work);
    try {
      return instantiate(stream.device(), captured, uses, false);
    } finally {
      JCudaDriver.cuGraphDestroy(captured);
    }
  }

  /**
   * Captures a loop that the device runs without the host: {@code body}, then again for as long as {@code remaining[0]} is greater
   * than 0 after it and there were fewer than {@code limit} iterations. The body may hold kernels, copies, fills, products and
   * graphs without loops.
   *
   * @param remaining I32 [1] or more, written by the body
   * @param iterations I32 [1] or more: set to the number of iterations that the launch has run
   * @param limit most iterations of a launch, at least 1
   * @throws UnsupportedOperationException when this build or the driver (before CUDA 12.3) has no conditional nodes
   */
  public static Graph captureLoop(Stream stream, DeviceBuffer remaining, DeviceBuffer iterations, int limit, Runnable body) {
    JniKernels.require("a loop in a graph");
    if (limit < 1) {
      throw new IllegalArgumentException("a loop of at most " + limit + " iterations");
    }
    for (DeviceBuffer counter : new DeviceBuffer[] {remaining, iterations}) {
      if (counter.dtype() != DType.I32 || counter.elements() < 1) {
        throw new IllegalArgumentException("the counters of a loop are I32, this is " + counter);
      }
    }
    KernelFunction condition = stream.device().kernel("loop_condition", "loop_condition");
    Uses uses = stream.beginCapture();
    Handles.GraphHandle captured = captured(stream, body, remaining, iterations);
    Handles.GraphHandle whole = new Handles.GraphHandle();
    try {
      Cuda.check(JCudaDriver.cuGraphCreate(whole, 0), "cuGraphCreate");
      long result = JniCalls.loop(whole.address(), captured.address(), condition.address(), remaining.address(),
          iterations.address(), limit);
      if (result != 0) {
        JniKernels.check((int) result, JniCalls.LOOP_STEPS[(int) (result >>> 32)], "a loop in a graph");
      }
      return instantiate(stream.device(), whole, uses, true);
    } finally {
      JCudaDriver.cuGraphDestroy(captured);
      if (whole.address() != 0) {
        JCudaDriver.cuGraphDestroy(whole);
      }
    }
  }

  /** Ends the recording that the stream has begun, and with it, if anything fails, the capture. */
  private static Handles.GraphHandle captured(Stream stream, Runnable work, DeviceBuffer... used) {
    Handles.GraphHandle captured = new Handles.GraphHandle();
    try {
      for (DeviceBuffer buffer : used) {
        stream.address(buffer);
      }
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

  private static Graph instantiate(Device device, CUgraph captured, Uses uses, boolean loop) {
    long[] nodes = new long[1];
    Cuda.check(JCudaDriver.cuGraphGetNodes(captured, null, nodes), "cuGraphGetNodes");
    CUgraphExec handle = new CUgraphExec();
    Cuda.check(JCudaDriver.cuGraphInstantiate(handle, captured, 0), "cuGraphInstantiate", nodes[0] + " nodes");
    return new Graph(device, handle, Math.toIntExact(nodes[0]), uses, loop);
  }

  /**
   * Queues all of the graph's work. Allocates nothing.
   *
   * @param stream any stream of the graph's device; if it is being captured, the graph becomes a part of the other one
   * @throws IllegalStateException when the graph, or a handle that it uses, is closed
   */
  public void launch(Stream stream) {
    if (closed) {
      throw new IllegalStateException("graph is closed");
    }
    if (stream.device() != device) {
      throw new IllegalArgumentException("the graph was captured on another device than the stream's");
    }
    uses.checkOpen();
    stream.checkOpen();
    if (loop && stream.capturing()) {
      throw new IllegalStateException("a graph with a loop cannot be part of another graph");
    }
    stream.uses(uses);
    Cuda.check(JCudaDriver.cuGraphLaunch(handle, stream.handle()), "cuGraphLaunch");
  }

  /** Number of nodes: launches, copies, fills and products; a loop or another graph is one. */
  public int nodes() {
    return nodes;
  }

  /** Destroys the graph; a launch in progress ends undisturbed. Idempotent. */
  @Override
  public void close() {
    if (closed) {
      return;
    }
    closed = true;
    LeakTracker.closed(this);
    if (!device.closed()) {
      device.makeCurrent();
      JCudaDriver.cuGraphExecDestroy(handle);
    }
  }
}
