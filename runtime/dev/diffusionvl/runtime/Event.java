// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.runtime;

import jcuda.driver.CUevent;
import jcuda.driver.JCudaDriver;

/** A point in a stream, for waiting and timing. */
public final class Event implements AutoCloseable {
  private final Device device;
  private final CUevent handle = new CUevent();
  private boolean closed;

  Event(Device device, boolean timing) {
    this.device = device;
    device.makeCurrent();
    Cuda.check(JCudaDriver.cuEventCreate(handle, timing ? 0 : 2 /* CU_EVENT_DISABLE_TIMING */), "cuEventCreate");
    LeakTracker.opened(this, "event");
  }

  /** Queues the event. */
  public void record(Stream stream) {
    checkOpen();
    stream.checkOpen();
    Cuda.check(JCudaDriver.cuEventRecord(handle, stream.handle()), "cuEventRecord");
  }

  /** Waits for the event on the host. */
  public void synchronize() {
    checkOpen();
    Cuda.check(JCudaDriver.cuEventSynchronize(handle), "cuEventSynchronize");
  }

  CUevent handle() {
    checkOpen();
    return handle;
  }

  /** Device time from {@code earlier} to this event in milliseconds; both must have happened. */
  public float millisSince(Event earlier) {
    checkOpen();
    earlier.checkOpen();
    float[] millis = new float[1];
    Cuda.check(JCudaDriver.cuEventElapsedTime(millis, earlier.handle, handle), "cuEventElapsedTime");
    return millis[0];
  }

  private void checkOpen() {
    if (closed) {
      throw new IllegalStateException("event is closed");
    }
    device.makeCurrent();
  }

  @Override
  public void close() {
    if (!closed) {
      if (!device.closed()) {
        device.makeCurrent();
        JCudaDriver.cuEventDestroy(handle);
      }
      closed = true;
      LeakTracker.closed(this);
    }
  }
}
