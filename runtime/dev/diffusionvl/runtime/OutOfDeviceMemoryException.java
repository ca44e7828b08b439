// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.runtime;

/** An allocation did not fit into device memory. */
public final class OutOfDeviceMemoryException extends CudaException {
  private final long need;
  private final long free;
  private final long total;

  OutOfDeviceMemoryException(String what, String device, long need, long free, long total) {
    super("cuMemAlloc", 2, "CUDA_ERROR_OUT_OF_MEMORY",
        "%s needs %,d bytes, %,d of %,d bytes are free on %s".formatted(what, need, free, total, device));
    this.need = need;
    this.free = free;
    this.total = total;
  }

  /** Bytes asked for. */
  public long need() {
    return need;
  }

  /** Bytes free on the device when the call failed. */
  public long free() {
    return free;
  }

  /** Bytes of device memory in all. */
  public long total() {
    return total;
  }
}
