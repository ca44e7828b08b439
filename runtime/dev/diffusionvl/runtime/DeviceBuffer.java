// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.runtime;

import static java.lang.foreign.ValueLayout.JAVA_DOUBLE;
import static java.lang.foreign.ValueLayout.JAVA_FLOAT;
import static java.lang.foreign.ValueLayout.JAVA_INT;
import static java.lang.foreign.ValueLayout.JAVA_SHORT;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.Arrays;
import jcuda.driver.JCudaDriver;

/**
 * Typed, shaped device memory. A buffer owns its memory; a {@link #slice} is a view that dies with its owner. Closing is
 * idempotent, and use after close throws {@link IllegalStateException} naming the buffer.
 */
public final class DeviceBuffer implements AutoCloseable {
  private final Device device;
  private final String name;
  private final DType dtype;
  private final long[] shape;
  private final long elements;
  private final long address;
  private final DeviceBuffer owner; // null for the owner itself
  private volatile boolean closed;

  private DeviceBuffer(Device device, String name, DType dtype, long[] shape, long address, DeviceBuffer owner) {
    this.device = device;
    this.name = name;
    this.dtype = dtype;
    this.shape = shape;
    this.elements = elements(name, shape);
    this.address = address;
    this.owner = owner;
  }

  static DeviceBuffer allocate(Device device, String name, DType dtype, long... shape) {
    long bytes = Math.multiplyExact(elements(name, shape), (long) dtype.bytes());
    device.makeCurrent();
    Pointers.Allocation allocation = new Pointers.Allocation();
    int status = JCudaDriver.cuMemAlloc(allocation, Math.max(bytes, 16)); // CUDA refuses an empty allocation
    if (status == Cuda.OUT_OF_MEMORY) {
      Device.MemoryInfo memory = device.memory();
      throw new OutOfDeviceMemoryException(describe(name, dtype, shape), device.name(), bytes, memory.free(), memory.total());
    }
    Cuda.check(status, "cuMemAlloc", describe(name, dtype, shape));
    DeviceBuffer buffer = new DeviceBuffer(device, name, dtype, shape.clone(), allocation.address(), null);
    LeakTracker.opened(buffer, buffer.toString());
    return buffer;
  }

  /**
   * A buffer of no device and without memory, which knows name, dtype and shape: for code that is run only to learn what it would allocate.
   * Its slices are of the same kind; {@link #address} is refused.
   */
  public static DeviceBuffer outline(String name, DType dtype, long... shape) {
    return new DeviceBuffer(null, name, dtype, shape.clone(), 0, null);
  }

  /** Memory of something else, which says with {@link #expire} when it is gone. Only its {@link #view views} are for others. */
  static DeviceBuffer borrowed(Device device, String name, long bytes, long address) {
    return new DeviceBuffer(device, name, DType.U8, new long[] {bytes}, address, null);
  }

  /** The memory that was {@link #borrowed} is gone. */
  void expire() {
    closed = true;
  }

  /** All of its memory as elements of another type; shares its lifetime. */
  DeviceBuffer view(DType as, long... viewShape) {
    long bytes = Math.multiplyExact(elements(name, viewShape), (long) as.bytes());
    if (bytes != bytes()) {
      throw new IllegalArgumentException("%s has %d bytes, %s%s has %d".formatted(name, bytes(), as.suffix(), Arrays.toString(viewShape),
          bytes));
    }
    return new DeviceBuffer(device, name, as, viewShape.clone(), address(), owner());
  }

  private static long elements(String name, long[] shape) {
    long n = 1;
    for (long d : shape) {
      if (d < 0) {
        throw new IllegalArgumentException(name + ": negative dimension in " + Arrays.toString(shape));
      }
      n = Math.multiplyExact(n, d);
    }
    return n;
  }

  /** The device that holds it; null for an {@link #outline}. */
  public Device device() {
    return device;
  }

  /** Type of its elements. */
  public DType dtype() {
    return dtype;
  }

  /** A copy of the dimensions. */
  public long[] shape() {
    return shape.clone();
  }

  /** Number of elements. */
  public long elements() {
    return elements;
  }

  /** Size in bytes. */
  public long bytes() {
    return elements * dtype.bytes();
  }

  /** Whether it, or what it is a slice of, was closed. */
  public boolean closed() {
    return closed || owner != null && owner.closed;
  }

  /** Device address. @throws IllegalStateException after close, its own or the device's, and of an {@link #outline} */
  public long address() {
    if (device == null) {
      throw new IllegalStateException(this + " is an outline: it has no memory");
    }
    if (closed()) {
      throw new IllegalStateException(this + " is closed");
    }
    if (device.closed()) {
      throw new IllegalStateException(this + " is of a device that is closed: " + device);
    }
    return address;
  }

  /** The buffer whose memory this is: itself, or what it is a slice of. */
  DeviceBuffer owner() {
    return owner == null ? this : owner;
  }

  /** A view of {@code shape} elements from element {@code offset} on; shares the owner's lifetime. */
  public DeviceBuffer slice(long offset, long... sliceShape) {
    long n = elements(name, sliceShape);
    if (offset < 0 || offset > elements - n) {
      throw new IllegalArgumentException("slice of %d elements at %d out of %s".formatted(n, offset, this));
    }
    long start = device == null ? 0 : address() + offset * dtype.bytes();
    return new DeviceBuffer(device, name, dtype, sliceShape.clone(), start, owner());
  }

  /** A view of [rows, …] from row {@code first} on; shares the owner's lifetime. */
  public DeviceBuffer rowsFrom(int first) {
    if (first == 0) {
      return this;
    }
    long[] rest = shape();
    long width = elements / rest[0];
    rest[0] -= first;
    return slice(first * width, rest);
  }

  /** Uploads floats, rounding to the buffer's dtype (F32, BF16 or F16); waits. */
  public void set(Stream stream, float... values) {
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment host = arena.allocate(Math.max(1, (long) values.length * dtype.bytes()), 16);
      switch (dtype) {
        case F32 -> MemorySegment.copy(values, 0, host, JAVA_FLOAT, 0, values.length);
        case BF16, F16 -> {
          for (int i = 0; i < values.length; i++) {
            host.setAtIndex(JAVA_SHORT, i, dtype.toHalf(values[i]));
          }
        }
        default -> throw wrongType("floats");
      }
      stream.upload(host.asSlice(0, (long) values.length * dtype.bytes()), this);
    }
  }

  /** Uploads ints (I32); waits. */
  public void set(Stream stream, int... values) {
    if (dtype != DType.I32) {
      throw wrongType("ints");
    }
    try (Arena arena = Arena.ofConfined()) {
      stream.upload(arena.allocateFrom(JAVA_INT, values), this);
    }
  }

  /** Uploads doubles (F64); waits. */
  public void set(Stream stream, double... values) {
    if (dtype != DType.F64) {
      throw wrongType("doubles");
    }
    try (Arena arena = Arena.ofConfined()) {
      stream.upload(arena.allocateFrom(JAVA_DOUBLE, values), this);
    }
  }

  /** Downloads all elements of an F32, BF16 or F16 buffer as floats; waits for the stream. */
  public float[] getFloats(Stream stream) {
    float[] values = new float[Math.toIntExact(elements)];
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment host = download(stream, arena);
      switch (dtype) {
        case F32 -> MemorySegment.copy(host, JAVA_FLOAT, 0, values, 0, values.length);
        case BF16, F16 -> {
          for (int i = 0; i < values.length; i++) {
            values[i] = dtype.fromHalf(host.getAtIndex(JAVA_SHORT, i));
          }
        }
        default -> throw wrongType("floats");
      }
    }
    return values;
  }

  /** Downloads all elements of an I32 buffer; waits for the stream. */
  public int[] getInts(Stream stream) {
    if (dtype != DType.I32) {
      throw wrongType("ints");
    }
    int[] values = new int[Math.toIntExact(elements)];
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment.copy(download(stream, arena), JAVA_INT, 0, values, 0, values.length);
    }
    return values;
  }

  private MemorySegment download(Stream stream, Arena arena) {
    MemorySegment host = arena.allocate(Math.max(1, bytes()), 16).asSlice(0, bytes());
    stream.download(this, host);
    return host;
  }

  private IllegalArgumentException wrongType(String what) {
    return new IllegalArgumentException(what + " do not go into or come out of " + this);
  }

  /** Frees the memory of an owner; a slice has nothing to free. Idempotent. */
  @Override
  public synchronized void close() {
    if (closed || owner != null) {
      return;
    }
    closed = true;
    if (device == null) {
      return;
    }
    LeakTracker.closed(this);
    if (!device.closed()) {
      device.makeCurrent();
      JCudaDriver.cuMemFree(Pointers.devicePointer(address));
    }
  }

  private static String describe(String name, DType dtype, long[] shape) {
    return "buffer '" + name + "' " + dtype.suffix() + Arrays.toString(shape);
  }

  @Override
  public String toString() {
    return describe(name, dtype, shape);
  }
}
