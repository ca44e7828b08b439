// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.runtime;

import static java.lang.foreign.ValueLayout.JAVA_FLOAT;
import static java.lang.foreign.ValueLayout.JAVA_INT;
import static java.lang.foreign.ValueLayout.JAVA_LONG;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.List;

/**
 * Kernel launches prepared once and issued, as often as wanted, by a single call into native code. Unlike a {@link Graph} a plan
 * may change scalar parameters between issues, may be issued into any stream at any time, and leaves the driver nothing to
 * instantiate; it holds launches only.
 *
 * {@snippet :
 * try (LaunchPlan plan = LaunchPlan.record(stream, () -> layers.forEach(layer -> layer.launch(stream)))) {
 *   plan.issue(stream);
 * }
 * }
 *
 * <p>For one thread at a time. Needs the native library of jni-kernels.
 */
public final class LaunchPlan implements AutoCloseable {
  private final Device device;
  private final Uses uses;
  private final Arena arena = Arena.ofShared();
  private final List<MemorySegment> launches = new ArrayList<>();
  private final List<String> descriptions = new ArrayList<>();
  private MemorySegment headers;
  private boolean closed;

  LaunchPlan(Device device, Uses uses) {
    this.device = device;
    this.uses = uses;
  }

  /**
   * Records what {@code work} launches on the stream; none of it runs.
   *
   * @throws IllegalStateException when the work queues anything but kernel launches
   * @throws UnsupportedOperationException when this build has no native library
   */
  public static LaunchPlan record(Stream stream, Runnable work) {
    JniKernels.require("a launch plan");
    LaunchPlan plan = stream.beginPlan();
    boolean done = false;
    try {
      work.run();
      plan.complete();
      done = true;
      return plan;
    } finally {
      stream.endRecording();
      if (!done) {
        plan.arena.close();
      }
    }
  }

  void add(Launch launch) {
    launches.add(launch.copy(arena));
    descriptions.add(launch.describe());
  }

  private void complete() {
    uses.complete();
    headers = arena.allocate(Math.max(1, launches.size()) * (long) Launch.HEADER_BYTES, 16);
    for (int i = 0; i < launches.size(); i++) {
      MemorySegment.copy(launches.get(i), 0, headers, (long) i * Launch.HEADER_BYTES, Launch.HEADER_BYTES);
    }
    LeakTracker.opened(this, toString());
  }

  /** Number of launches. */
  public int launches() {
    return launches.size();
  }

  /** Changes an {@code int} parameter of a launch from the next issue on. */
  public void set(int launch, int parameter, int value) {
    launches.get(launch).set(JAVA_INT, offset(launch, parameter), value);
  }

  /** Changes a {@code float} parameter of a launch from the next issue on. */
  public void set(int launch, int parameter, float value) {
    launches.get(launch).set(JAVA_FLOAT, offset(launch, parameter), value);
  }

  private long offset(int launch, int parameter) {
    checkOpen();
    MemorySegment planned = launches.get(launch);
    long first = planned.get(JAVA_LONG, Launch.HEADER_BYTES) - planned.address();
    if (parameter < 0 || parameter >= Launch.MAX_PARAMETERS || first >= planned.byteSize()) {
      throw new IllegalArgumentException("no parameter " + parameter + " in " + descriptions.get(launch));
    }
    long at = planned.get(JAVA_LONG, Launch.HEADER_BYTES + 8L * parameter) - planned.address();
    if (at < first || at + 4 > planned.byteSize()) {
      throw new IllegalArgumentException("no parameter " + parameter + " in " + descriptions.get(launch));
    }
    return at;
  }

  /**
   * Queues all launches. Allocates nothing.
   *
   * @throws CudaException naming the launch that the driver refused; those before it are queued
   * @throws IllegalStateException when the plan, or a handle that it uses, is closed
   */
  public void issue(Stream stream) {
    checkOpen();
    if (stream.device() != device) {
      throw new IllegalArgumentException("the plan was recorded on another device than the stream's");
    }
    uses.checkOpen();
    stream.checkTakes("another plan");
    stream.uses(uses);
    long result = JniCalls.launch(headers.address(), launches.size(), stream.address());
    if (result != 0) {
      int index = (int) (result >>> 32);
      JniKernels.check((int) result, "cuLaunchKernelEx", "launch %d of %d: %s".formatted(index, launches.size(), descriptions.get(index)));
    }
  }

  private void checkOpen() {
    if (closed) {
      throw new IllegalStateException(this + " is closed");
    }
  }

  /** Forgets the launches; those issued run on. Idempotent. */
  @Override
  public void close() {
    if (!closed) {
      closed = true;
      LeakTracker.closed(this);
      arena.close();
    }
  }

  @Override
  public String toString() {
    return "plan of " + launches.size() + " launches";
  }
}
