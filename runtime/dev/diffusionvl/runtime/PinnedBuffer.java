// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.runtime;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import jcuda.driver.JCudaDriver;

/**
 * Page-locked host memory, which a device can copy from and to while the host goes on: see {@link Stream#uploadAsync} and
 * {@link Stream#downloadAsync}. Page-locked memory is scarce; make few buffers and use them again. Safe to read and write from any
 * thread, as long as no queued copy works on the same bytes. Its device closes it, if nobody did before.
 */
public final class PinnedBuffer extends Handle {
  private static final int PORTABLE = 1; // CU_MEMHOSTALLOC_PORTABLE: pinned for every context

  private final String name;
  private final long bytes;
  private final long address;
  private final Arena arena = Arena.ofShared();
  private final MemorySegment segment;

  PinnedBuffer(Device device, String name, long bytes) {
    super(device);
    if (bytes <= 0) {
      throw new IllegalArgumentException("pinned buffer '" + name + "' of " + bytes + " bytes");
    }
    this.name = name;
    this.bytes = bytes;
    Pointers.HostAllocation allocation = new Pointers.HostAllocation();
    Cuda.check(JCudaDriver.cuMemHostAlloc(allocation, bytes, PORTABLE), "cuMemHostAlloc", toString());
    address = allocation.address();
    segment = MemorySegment.ofAddress(address).reinterpret(bytes, arena, null);
    device.own(this);
    track();
  }

  /** Size in bytes. */
  public long bytes() {
    return bytes;
  }

  /**
   * The memory. After a download it holds the data once the stream has been synchronised.
   *
   * @throws IllegalStateException after close, its own or the device's; a segment taken earlier throws on access
   */
  public MemorySegment segment() {
    checkOpen();
    return segment;
  }

  /** Host address of {@code size} bytes at {@code offset}, which must be inside. */
  long address(long offset, long size) {
    checkOpen();
    if (offset < 0 || size > bytes - offset) {
      throw new IllegalArgumentException("%,d bytes at %,d of %s".formatted(size, offset, this));
    }
    return address + offset;
  }

  /** Frees the memory after waiting for copies that work on it. */
  @Override
  void destroy() {
    device().disown(this);
    arena.close(); // nobody can be at the memory from here on
    JCudaDriver.cuMemFreeHost(Pointers.pointer(address));
  }

  @Override
  public String toString() {
    return "pinned buffer '%s' of %,d bytes".formatted(name, bytes);
  }
}
