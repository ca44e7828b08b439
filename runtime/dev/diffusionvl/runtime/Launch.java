// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.runtime;


import static java.lang.foreign.ValueLayout.JAVA_FLOAT;
import static java.lang.foreign.ValueLayout.JAVA_INT;
import static java.lang.foreign.ValueLayout.JAVA_LONG;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import jcuda.Pointer;
import jcuda.driver.JCudaDriver;

/**
 * The parameters of one launch, written into off-heap memory that lives as long as the stream. JCuda gets a single raw pointer to
 * a ready {@code void**}: building its Pointer trees costs 13 µs a launch, this costs well under one.
 */
public final class Launch {
  private static final int MAX_PARAMETERS = 32;
  private static final long VALUES = 8L * MAX_PARAMETERS;

  private final Stream stream;
  private final Arena arena = Arena.ofShared();
  private final MemorySegment block = arena.allocate(2 * VALUES, 16);
  private final Pointer parameters = Handles.pointer(block.address());
  private KernelFunction function;
  private int gridX;
  private int gridY;
  private int gridZ;
  private int blockX;
  private int sharedBytes;
  private int count;

  Launch(Stream stream) {
    this.stream = stream;
    for (int i = 0; i < MAX_PARAMETERS; i++) {
      block.set(JAVA_LONG, 8L * i, block.address() + VALUES + 8L * i);
    }
  }

  Launch begin(KernelFunction kernel, int gx, int gy, int gz, int bx, int shared) {
    function = kernel;
    gridX = gx;
    gridY = gy;
    gridZ = gz;
    blockX = bx;
    sharedBytes = shared;
    count = 0;
    return this;
  }

  /** A device pointer; the buffer must be open and on the stream's device. */
  public Launch ptr(DeviceBuffer buffer) {
    if (buffer.device() != stream.device()) {
      throw new IllegalArgumentException(buffer + " is on another device than the stream that runs " + function.name());
    }
    return u64(stream.address(buffer));
  }

  /** A device pointer, or null. */
  public Launch ptrOrNull(DeviceBuffer buffer) {
    return buffer == null ? u64(0) : ptr(buffer);
  }

  public Launch i32(int value) {
    block.set(JAVA_INT, next(), value);
    return this;
  }

  public Launch f32(float value) {
    block.set(JAVA_FLOAT, next(), value);
    return this;
  }

  public Launch u64(long value) {
    block.set(JAVA_LONG, next(), value);
    return this;
  }

  private long next() {
    return VALUES + 8L * count++;
  }

  /** Queues the kernel. An empty grid is no launch. */
  public void go() {
    if (gridX == 0 || gridY == 0 || gridZ == 0) {
      return;
    }
    int status = JCudaDriver.cuLaunchKernel(function.handle(), gridX, gridY, gridZ, blockX, 1, 1, sharedBytes, stream.handle(),
        parameters, null);
    if (status != 0) {
      throw Cuda.failure(status, "cuLaunchKernel", "%s, grid %d x %d x %d, block %d, shared %d bytes".formatted(function.name(),
          gridX, gridY, gridZ, blockX, sharedBytes));
    }
  }

  void close() {
    arena.close();
  }
}
