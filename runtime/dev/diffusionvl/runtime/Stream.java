// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.runtime;

import java.lang.foreign.MemorySegment;
import jcuda.driver.CUDA_MEMCPY2D;
import jcuda.driver.CUmemorytype;
import jcuda.driver.CUstream;
import jcuda.driver.JCudaDriver;

/** An in-order queue of copies and launches. For one thread at a time. */
public final class Stream extends Handle {
  private final Pointers.StreamHandle handle = new Pointers.StreamHandle();
  private final Launch launch;
  private Uses captured; // null unless a graph is being captured

  Stream(Device device) {
    super(device);
    Cuda.check(JCudaDriver.cuStreamCreate(handle, 1 /* CU_STREAM_NON_BLOCKING */), "cuStreamCreate");
    launch = new Launch(this);
    track();
  }

  /**
   * Begins a launch with a one-dimensional block: add the parameters in the kernel's order, then {@link Launch#go()}. Allocates nothing.
   *
   * @param gridX blocks, likewise gridY and gridZ; 0 of them is no launch
   * @param blockX threads of a block
   * @param sharedBytes dynamic shared memory of a block in bytes
   */
  public Launch launch(KernelFunction function, int gridX, int gridY, int gridZ, int blockX, int sharedBytes) {
    return launch(function, gridX, gridY, gridZ, blockX, 1, 1, sharedBytes);
  }

  /** Begins a launch with a block of {@code blockX} x {@code blockY} x {@code blockZ} threads. */
  public Launch launch(KernelFunction function, int gridX, int gridY, int gridZ, int blockX, int blockY, int blockZ, int sharedBytes) {
    enter();
    function.checkOpen();
    if (function.device() != device()) {
      throw new IllegalArgumentException("kernel " + function.name() + " was loaded into another device");
    }
    return launch.begin(function, gridX, gridY, gridZ, blockX, blockY, blockZ, sharedBytes);
  }

  /** Copies host memory to the buffer's start; returns once the host memory may be reused. */
  public void upload(MemorySegment source, DeviceBuffer target) {
    checkMayWait("upload");
    long bytes = source.byteSize();
    if (bytes > target.bytes()) {
      throw new IllegalArgumentException("upload of %d bytes into %s".formatted(bytes, target));
    }
    if (!source.isNative()) {
      throw new IllegalArgumentException("upload needs native memory; arrays go through DeviceBuffer.set");
    }
    queueUpload(source.address(), target, bytes);
    synchronize();
  }

  /** Copies the buffer's start to host memory and waits for it. */
  public void download(DeviceBuffer source, MemorySegment target) {
    checkMayWait("download");
    long bytes = target.byteSize();
    if (bytes > source.bytes()) {
      throw new IllegalArgumentException("download of %d bytes from %s".formatted(bytes, source));
    }
    if (!target.isNative()) {
      throw new IllegalArgumentException("download needs native memory; arrays go through DeviceBuffer.get");
    }
    queueDownload(source, target.address(), bytes);
    synchronize();
  }

  /**
   * Queues a copy of pinned memory, from byte {@code offset} on, to all of {@code target}; does not wait, and may be captured. The
   * pinned bytes must not change until the copy has run.
   */
  public void uploadAsync(PinnedBuffer source, long offset, DeviceBuffer target) {
    enter();
    long address = source.address(offset, target.bytes());
    uses(source);
    queueUpload(address, target, target.bytes());
  }

  /**
   * Queues a copy of all of {@code source} to pinned memory, from byte {@code offset} on; does not wait, and may be captured. The
   * data is there once the stream, or an event recorded after this call, has been synchronised.
   */
  public void downloadAsync(DeviceBuffer source, PinnedBuffer target, long offset) {
    enter();
    long address = target.address(offset, source.bytes());
    uses(target);
    queueDownload(source, address, source.bytes());
  }

  private void queueUpload(long source, DeviceBuffer target, long bytes) {
    long address = address(target);
    if (bytes > 0) {
      Cuda.check(JCudaDriver.cuMemcpyHtoDAsync(Pointers.devicePointer(address), Pointers.pointer(source), bytes, handle),
          "cuMemcpyHtoDAsync", () -> target + " <- " + bytes + " bytes");
    }
  }

  private void queueDownload(DeviceBuffer source, long target, long bytes) {
    long address = address(source);
    if (bytes > 0) {
      Cuda.check(JCudaDriver.cuMemcpyDtoHAsync(Pointers.pointer(target), Pointers.devicePointer(address), bytes, handle),
          "cuMemcpyDtoHAsync", () -> source + " -> " + bytes + " bytes");
    }
  }

  /** Queues a copy of all of {@code source} to the start of {@code target}; same dtype. */
  public void copy(DeviceBuffer source, DeviceBuffer target) {
    enter();
    if (source.dtype() != target.dtype() || source.bytes() > target.bytes()) {
      throw new IllegalArgumentException("copy of " + source + " into " + target);
    }
    long from = address(source);
    long to = address(target);
    if (source.bytes() > 0) {
      Cuda.check(JCudaDriver.cuMemcpyDtoDAsync(Pointers.devicePointer(to), Pointers.devicePointer(from), source.bytes(), handle),
          "cuMemcpyDtoDAsync", () -> source + " -> " + target);
    }
  }

  /**
   * Queues a copy of a matrix into the upper left corner of another; the rest of that one stays as it is.
   *
   * @param source [rows, columns]
   * @param target dtype of source [at least rows, at least columns]
   */
  public void copyRows(DeviceBuffer source, DeviceBuffer target) {
    enter();
    long[] from = source.shape();
    long[] to = target.shape();
    if (source.dtype() != target.dtype() || from.length != 2 || to.length != 2 || from[0] > to[0] || from[1] > to[1]) {
      throw new IllegalArgumentException("copy of the rows of " + source + " into " + target);
    }
    CUDA_MEMCPY2D copy = new CUDA_MEMCPY2D();
    copy.srcMemoryType = CUmemorytype.CU_MEMORYTYPE_DEVICE;
    copy.srcDevice = Pointers.devicePointer(address(source));
    copy.srcPitch = from[1] * source.dtype().bytes();
    copy.dstMemoryType = CUmemorytype.CU_MEMORYTYPE_DEVICE;
    copy.dstDevice = Pointers.devicePointer(address(target));
    copy.dstPitch = to[1] * target.dtype().bytes();
    copy.WidthInBytes = copy.srcPitch;
    copy.Height = from[0];
    if (source.bytes() > 0) {
      Cuda.check(JCudaDriver.cuMemcpy2DAsync(copy, handle), "cuMemcpy2DAsync", () -> source + " -> " + target);
    }
  }

  /** Queues filling the buffer with one byte value. */
  public void fill(DeviceBuffer target, int byteValue) {
    enter();
    long address = address(target);
    if (target.bytes() > 0) {
      Cuda.check(JCudaDriver.cuMemsetD8Async(Pointers.devicePointer(address), (byte) byteValue, target.bytes(), handle),
          "cuMemsetD8Async", target::toString);
    }
  }

  /** What is queued from now on waits, on the device, until the event's last record has happened. */
  public void waitFor(Event event) {
    enter();
    Cuda.check(JCudaDriver.cuStreamWaitEvent(handle, event.handle(), 0), "cuStreamWaitEvent");
  }

  /** Waits until everything queued has run; reports what a kernel did wrong since the last call. */
  public void synchronize() {
    checkMayWait("synchronize");
    Cuda.check(JCudaDriver.cuStreamSynchronize(handle), "cuStreamSynchronize");
  }

  /** Address of a buffer that work on this stream uses: open, and on the stream's device. */
  long address(DeviceBuffer buffer) {
    if (buffer.device() != device()) {
      throw new IllegalArgumentException(buffer + " is on another device than the stream");
    }
    long address = buffer.address();
    if (captured != null) {
      captured.add(buffer.owner());
    }
    return address;
  }

  private void uses(PinnedBuffer buffer) {
    if (captured != null) {
      captured.add(buffer);
    }
  }

  void uses(KernelModule module) {
    if (captured != null) {
      captured.add(module);
    }
  }

  void uses(Uses others) {
    if (captured != null) {
      captured.addAll(others);
    }
  }

  Uses beginCapture() {
    enter();
    if (captured != null) {
      throw new IllegalStateException("the stream is being captured already");
    }
    captured = new Uses();
    return captured;
  }

  void endCapture() {
    captured = null;
  }

  /** Whether work is captured rather than queued. */
  boolean capturing() {
    return captured != null;
  }

  private void checkMayWait(String call) {
    enter();
    if (captured != null) {
      throw new IllegalStateException(call + " waits for the stream, which is being captured; copy by uploadAsync or "
          + "downloadAsync from or to pinned memory there");
    }
  }

  CUstream handle() {
    enter();
    return handle;
  }

  /** The driver's handle as a number. */
  long address() {
    enter();
    return handle.address();
  }

  @Override
  void destroy() {
    JCudaDriver.cuStreamDestroy(handle);
  }

  @Override
  void closeParts() {
    launch.close();
  }

  @Override
  public String toString() {
    return "stream";
  }
}
