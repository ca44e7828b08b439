// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.runtime;

/**
 * Something that a device's driver made and that has to be given back: closed once, however often it is asked to; refused after that, and
 * refused once its device is closed, whoever closed it and whenever. A subclass says how it is given back, and calls {@link #track} at the
 * end of its constructor.
 */
abstract class Handle implements AutoCloseable {
  private final Device device;
  private volatile boolean closed;

  /** @throws IllegalStateException when the device is closed */
  Handle(Device device) {
    this.device = device;
    device.makeCurrent();
  }

  /** The device that it belongs to. */
  public final Device device() {
    return device;
  }

  /** Counts as a leak from now on unless it is closed. */
  final void track() {
    LeakTracker.opened(this, toString());
  }

  /** @throws IllegalStateException when it, or its device, is closed */
  final void checkOpen() {
    if (closed) {
      throw new IllegalStateException(this + " is closed");
    }
    if (device.closed()) {
      throw new IllegalStateException(this + " is of a device that is closed: " + device);
    }
  }

  /** Before a call of the driver: checks as {@link #checkOpen} does, and makes the device's context current on the calling thread. */
  final void enter() {
    checkOpen();
    device.makeCurrent();
  }

  /** Gives it back to the driver, with its device's context current. Not called when the device was closed before. */
  abstract void destroy();

  /** Closes what else it holds; called once, after {@link #destroy}. */
  void closeParts() {}

  /** Gives it back. Idempotent; harmless after its device was closed. */
  @Override
  public final synchronized void close() {
    if (closed) {
      return;
    }
    closed = true;
    LeakTracker.closed(this);
    try {
      if (!device.closed()) {
        device.makeCurrent();
        destroy();
      }
    } finally {
      closeParts();
    }
  }

  /** What messages call it. */
  @Override
  public abstract String toString();
}
