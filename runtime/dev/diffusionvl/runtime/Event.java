// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.runtime;

import jcuda.driver.CUevent;
import jcuda.driver.JCudaDriver;

/** A point in a stream, for waiting and timing. */
public final class Event extends Handle {
  private final CUevent handle = new CUevent();

  Event(Device device, boolean timing) {
    super(device);
    Cuda.check(JCudaDriver.cuEventCreate(handle, timing ? 0 : 2 /* CU_EVENT_DISABLE_TIMING */), "cuEventCreate");
    track();
  }

  /** Queues the event. */
  public void record(Stream stream) {
    enter();
    Cuda.check(JCudaDriver.cuEventRecord(handle, stream.handle()), "cuEventRecord");
  }

  /** Waits for the event on the host. */
  public void synchronize() {
    enter();
    Cuda.check(JCudaDriver.cuEventSynchronize(handle), "cuEventSynchronize");
  }

  CUevent handle() {
    enter();
    return handle;
  }

  /** Device time from {@code earlier} to this event in milliseconds; both must have happened. */
  public float millisSince(Event earlier) {
    enter();
    earlier.checkOpen();
    float[] millis = new float[1];
    Cuda.check(JCudaDriver.cuEventElapsedTime(millis, earlier.handle, handle), "cuEventElapsedTime");
    return millis[0];
  }

  @Override
  void destroy() {
    JCudaDriver.cuEventDestroy(handle);
  }

  @Override
  public String toString() {
    return "event";
  }
}
