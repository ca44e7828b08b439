// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.runtime;


import java.lang.foreign.MemorySegment;
import jcuda.driver.CUstream;
import jcuda.driver.JCudaDriver;

/** An in-order queue of copies and launches. For one thread at a time. */
public final class Stream implements AutoCloseable {
  private final Device device;
  private final CUstream handle = new CUstream();
  private final Launch launch;
  private boolean closed;

  Stream(Device device) {
    this.device = device;
    device.makeCurrent();
    Cuda.check(JCudaDriver.cuStreamCreate(handle, 1 /* CU_STREAM_NON_BLOCKING */), "cuStreamCreate");
    launch = new Launch(this);
    LeakTracker.opened(this, "stream");
  }

  /** The device that the stream belongs to. */
  public Device device() {
    return device;
  }

  /**
   * Begins a launch: add the parameters in the kernel's order, then {@link Launch#go()}. Allocates nothing.
   *
   * @param sharedBytes dynamic shared memory of a block
   */
  public Launch launch(KernelFunction function, int gridX, int gridY, int gridZ, int blockX, int sharedBytes) {
    checkOpen();
    if (function.device() != device) {
      throw new IllegalArgumentException("kernel " + function.name() + " was loaded into another device");
    }
    return launch.begin(function, gridX, gridY, gridZ, blockX, sharedBytes);
  }

  /** Copies host memory to the buffer's start; returns once the host memory may be reused. */
  public void upload(MemorySegment source, DeviceBuffer target) {
    checkOpen();
    long bytes = source.byteSize();
    if (bytes > target.bytes()) {
      throw new IllegalArgumentException("upload of %d bytes into %s".formatted(bytes, target));
    }
    if (bytes == 0) {
      target.address();
      return;
    }
    if (!source.isNative()) {
      throw new IllegalArgumentException("upload needs native memory; arrays go through DeviceBuffer.set");
    }
    Cuda.check(JCudaDriver.cuMemcpyHtoDAsync(Handles.devicePointer(target.address()), Handles.pointer(source.address()), bytes,
        handle), "cuMemcpyHtoDAsync", target + " <- " + bytes + " bytes");
    synchronize();
  }

  /** Copies the buffer's start to host memory and waits for it. */
  public void download(DeviceBuffer source, MemorySegment target) {
    checkOpen();
    long bytes = target.byteSize();
    if (bytes > source.bytes()) {
      throw new IllegalArgumentException("download of %d bytes from %s".formatted(bytes, source));
    }
    if (bytes == 0) {
      source.address();
      return;
    }
    if (!target.isNative()) {
      throw new IllegalArgumentException("download needs native memory; arrays go through DeviceBuffer.get");
    }
    Cuda.check(JCudaDriver.cuMemcpyDtoHAsync(Handles.pointer(target.address()), Handles.devicePointer(source.address()), bytes,
        handle), "cuMemcpyDtoHAsync", source + " -> " + bytes + " bytes");
    synchronize();
  }

  /** Queues a copy of all of {@code source} to the start of {@code target}; same dtype. */
  public void copy(DeviceBuffer source, DeviceBuffer target) {
    checkOpen();
    if (source.dtype() != target.dtype() || source.bytes() > target.bytes()) {
      throw new IllegalArgumentException("copy of " + source + " into " + target);
    }
    if (source.bytes() == 0) {
      return;
    }
    Cuda.check(JCudaDriver.cuMemcpyDtoDAsync(Handles.devicePointer(target.address()), Handles.devicePointer(source.address()),
        source.bytes(), handle), "cuMemcpyDtoDAsync", source + " -> " + target);
  }

  /** Queues filling the buffer with one byte value. */
  public void fill(DeviceBuffer target, int byteValue) {
    checkOpen();
    if (target.bytes() > 0) {
      Cuda.check(JCudaDriver.cuMemsetD8Async(Handles.devicePointer(target.address()), (byte) byteValue, target.bytes(), handle),
          "cuMemsetD8Async", target.toString());
    }
  }

  /** Waits until everything queued has run; reports what a kernel did wrong since the last call. */
  public void synchronize() {
    checkOpen();
    Cuda.check(JCudaDriver.cuStreamSynchronize(handle), "cuStreamSynchronize");
  }

  CUstream handle() {
    checkOpen();
    return handle;
  }

  void checkOpen() {
    if (closed) {
      throw new IllegalStateException("stream is closed");
    }
    device.makeCurrent();
  }

  @Override
  public void close() {
    if (!closed) {
      if (!device.closed()) {
        device.makeCurrent();
        JCudaDriver.cuStreamDestroy(handle);
      }
      closed = true;
      launch.close();
      LeakTracker.closed(this);
    }
  }
}
