// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.runtime;

import static java.lang.foreign.ValueLayout.JAVA_DOUBLE;
import static java.lang.foreign.ValueLayout.JAVA_FLOAT;
import static java.lang.foreign.ValueLayout.JAVA_INT;
import static java.lang.foreign.ValueLayout.JAVA_LONG;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import jcuda.Pointer;
import jcuda.driver.JCudaDriver;

/**
 * One launch being put together: {@link Stream#launch} begins it, parameters are added in the kernel's order, {@link #go} queues
 * it. A stream has one, which is used again for each launch, so nothing is allocated; do not keep it.
 *
 * <p>Before the launch the number and the sizes of the parameters are compared with the kernel's, where the driver tells them (the
 * emulated device; CUDA 12.4 and later). The emulated device also tells whether a parameter is a pointer, an integer or a
 * floating-point number; of 64-bit numbers of PTX it does not know. A cubin does not hold that.
 */
public final class Launch {
  static final int MAX_PARAMETERS = 64;
  /** A parameter's kind that a driver does not tell, or that is none of the others. */
  static final byte UNKNOWN = '?';
  private static final byte POINTER = 'p';
  private static final byte INTEGER = 'i';
  private static final byte FLOAT = 'f';

  // The block: the addresses of the values, then the values. JCuda gets a single raw pointer to the addresses: building its
  // Pointer trees costs 13 µs per launch, this costs about one. A tensor map, of which a kernel takes one, lies behind the values, and
  // structures lie behind that.
  private static final long VALUES = 8L * MAX_PARAMETERS;
  private static final long MAP = 2 * VALUES;
  private static final long BYTES = MAP + TensorMap.BYTES;
  private static final int MAX_BYTES = 4096; // of all parameters of a kernel, on every GPU

  private final Stream stream;
  private final Arena arena = Arena.ofShared();
  private final MemorySegment block = arena.allocate(BYTES + MAX_BYTES, TensorMap.BYTES);
  private final long base = block.address();
  private final Pointer addresses = Pointers.pointer(base);
  private final int[] sizes = new int[MAX_PARAMETERS];
  private final byte[] kinds = new byte[MAX_PARAMETERS];
  private KernelFunction function;
  private int gridX;
  private int gridY;
  private int gridZ;
  private int blockX;
  private int blockY;
  private int blockZ;
  private int sharedBytes;
  private boolean overlapping;
  private boolean mapped;
  private int structures; // bytes of them
  private int count;

  Launch(Stream stream) {
    this.stream = stream;
  }

  Launch begin(KernelFunction kernel, int gx, int gy, int gz, int bx, int by, int bz, int shared) {
    function = kernel;
    gridX = gx;
    gridY = gy;
    gridZ = gz;
    blockX = bx;
    blockY = by;
    blockZ = bz;
    sharedBytes = shared;
    overlapping = false;
    mapped = false;
    structures = 0;
    count = 0;
    return this;
  }

  /** A device pointer (8 bytes); the buffer must be open and on the stream's device. */
  public Launch ptr(DeviceBuffer buffer) {
    return ptr(buffer, 0);
  }

  /** A device pointer to the buffer's element {@code offset}; the launcher has checked that it is inside. */
  public Launch ptr(DeviceBuffer buffer, long offset) {
    if (buffer == null || buffer.device() != stream.device()) {
      throw new IllegalArgumentException("parameter %d of %s: %s".formatted(count, function.name(),
          buffer == null ? "the buffer is null" : buffer + " is on another device than the stream"));
    }
    return pointer(stream.address(buffer) + offset * buffer.dtype().bytes());
  }

  /** A device pointer, or null. */
  public Launch ptrOrNull(DeviceBuffer buffer) {
    return buffer == null ? pointer(0) : ptr(buffer);
  }

  /** A device pointer to the buffer's element {@code offset}, or null. */
  public Launch ptrOrNull(DeviceBuffer buffer, long offset) {
    return buffer == null ? pointer(0) : ptr(buffer, offset);
  }

  private Launch pointer(long address) {
    block.set(JAVA_LONG, next(8, POINTER), address);
    return this;
  }

  /** An {@code int} or {@code unsigned}. */
  public Launch i32(int value) {
    block.set(JAVA_INT, next(4, INTEGER), value);
    return this;
  }

  /** A {@code float}. */
  public Launch f32(float value) {
    block.set(JAVA_FLOAT, next(4, FLOAT), value);
    return this;
  }

  /** A {@code double}. */
  public Launch f64(double value) {
    block.set(JAVA_DOUBLE, next(8, FLOAT), value);
    return this;
  }

  /** An {@code int64_t} or {@code uint64_t}. */
  public Launch i64(long value) {
    block.set(JAVA_LONG, next(8, INTEGER), value);
    return this;
  }

  /** The same as {@link #i64}, for values that the kernel reads as unsigned. */
  public Launch u64(long value) {
    return i64(value);
  }

  /** A tensor map by value; a launch takes one. The buffer that it is of must be open and on the stream's device. */
  public Launch map(TensorMap map) {
    if (map.buffer().device() != stream.device()) {
      throw new IllegalArgumentException("parameter %d of %s: a tensor map of another device".formatted(count, function.name()));
    }
    stream.address(map.buffer());
    if (mapped) {
      throw new IllegalArgumentException(function.name() + ": more than one tensor map");
    }
    mapped = true;
    MemorySegment.copy(map.bytes(), 0, block, MAP, TensorMap.BYTES);
    next(TensorMap.BYTES, UNKNOWN, MAP);
    return this;
  }

  /** A structure by value, or a number of fewer than 32 bits: its bytes as they are in memory, copied now. */
  public Launch bytes(MemorySegment value) {
    if (value.byteSize() > MAX_BYTES - structures) {
      throw new IllegalArgumentException("parameter %d of %s: %d bytes; structures of a launch have %d bytes in all"
          .formatted(count, function.name(), value.byteSize(), MAX_BYTES));
    }
    int size = (int) value.byteSize();
    MemorySegment.copy(value, 0, block, BYTES + structures, size);
    next(size, UNKNOWN, BYTES + structures);
    structures += (size + 15) & ~15;
    return this;
  }

  private long next(int size, byte kind) {
    return next(size, kind, VALUES + 8L * count);
  }

  private long next(int size, byte kind, long at) {
    if (count == MAX_PARAMETERS) {
      throw new IllegalArgumentException("%s: more than %d parameters".formatted(function.name(), MAX_PARAMETERS));
    }
    block.set(JAVA_LONG, 8L * count, base + at);
    kinds[count] = kind;
    sizes[count++] = size;
    return at;
  }

  /**
   * The kernel may start while the previous one of the stream ends (programmatic dependent launch, compute capability 9.0; ignored
   * on the emulated device). It must itself wait for what it reads, by {@code griddepcontrol.wait}.
   */
  public Launch overlapping() {
    overlapping = true;
    return this;
  }

  /**
   * Queues the kernel. An empty grid is no launch.
   *
   * @throws IllegalArgumentException when the parameters cannot be the kernel's
   * @throws CudaException naming kernel, grid and block when the driver refuses the launch
   * @throws UnsupportedOperationException when an overlapping launch meets a driver, or a build, that has none
   */
  public void go() {
    if (gridX == 0 || gridY == 0 || gridZ == 0) {
      return;
    }
    function.checkParameters(sizes, kinds, count);
    stream.uses(function.module());
    if (overlapping) {
      JniKernels.require("a launch that overlaps");
      int status = JniCalls.launchOverlapping(function.address(), base, gridX, gridY, gridZ, blockX, blockY, blockZ, sharedBytes,
          stream.address());
      if (status != 0) {
        JniKernels.check(status, "cuLaunchKernelEx", describe());
      }
      return;
    }
    int status = JCudaDriver.cuLaunchKernel(function.handle(), gridX, gridY, gridZ, blockX, blockY, blockZ, sharedBytes, stream.handle(),
        addresses, null);
    if (status != 0) {
      throw Cuda.failure(status, "cuLaunchKernel", describe());
    }
  }

  static String kind(byte kind) {
    return switch (kind) {
      case POINTER -> "a pointer";
      case INTEGER -> "an integer";
      default -> "a floating-point number";
    };
  }

  String describe() {
    return "%s, grid %d x %d x %d, block %d x %d x %d, shared %d bytes".formatted(function.name(), gridX, gridY, gridZ, blockX, blockY,
        blockZ, sharedBytes);
  }

  void close() {
    arena.close();
  }
}
