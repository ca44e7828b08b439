// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.runtime;

/** A CUDA driver or cuBLAS call failed. The message names the call, the status and what it worked on. */
public class CudaException extends RuntimeException {
  private final transient String call;
  private final int code;
  private final transient String status;

  public CudaException(String call, int code, String status, String detail) {
    super(call + " failed: " + status + " (" + code + ")" + (detail == null || detail.isEmpty() ? "" : ": " + detail));
    this.call = call;
    this.code = code;
    this.status = status;
  }

  /** Name of the driver or library call, e.g. {@code cuLaunchKernel}. */
  public String call() {
    return call;
  }

  /** Numeric status as the library returned it. */
  public int code() {
    return code;
  }

  /** Symbolic name of the status, e.g. {@code CUDA_ERROR_ILLEGAL_ADDRESS}. */
  public String status() {
    return status;
  }
}
