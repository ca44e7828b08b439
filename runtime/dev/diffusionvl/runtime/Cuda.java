// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.runtime;

import java.util.function.IntSupplier;
import java.util.function.Supplier;
import jcuda.driver.CUstreamCaptureMode;
import jcuda.driver.JCudaDriver;

/** Status checks of driver calls. */
final class Cuda {
  static final int OUT_OF_MEMORY = 2;

  private Cuda() {}

  static void check(int status, String call) {
    if (status != 0) {
      throw failure(status, call, null);
    }
  }

  static void check(int status, String call, String detail) {
    if (status != 0) {
      throw failure(status, call, detail);
    }
  }

  /** The detail is built for a failure only. */
  static void check(int status, String call, Supplier<String> detail) {
    if (status != 0) {
      throw failure(status, call, detail.get());
    }
  }

  /** Makes a call that is forbidden, but harmless, in a thread that captures a stream; returns its status. */
  static int duringCapture(IntSupplier call) {
    int[] mode = {CUstreamCaptureMode.CU_STREAM_CAPTURE_MODE_RELAXED};
    check(JCudaDriver.cuThreadExchangeStreamCaptureMode(mode), "cuThreadExchangeStreamCaptureMode");
    try {
      return call.getAsInt();
    } finally {
      JCudaDriver.cuThreadExchangeStreamCaptureMode(mode);
    }
  }

  static CudaException failure(int status, String call, String detail) {
    String[] name = new String[1];
    JCudaDriver.cuGetErrorName(status, name);
    return new CudaException(call, status, name[0] == null ? "unknown status" : name[0], detail);
  }
}
