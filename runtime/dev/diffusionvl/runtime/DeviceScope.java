// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.runtime;

import java.util.ArrayDeque;
import java.util.Deque;

/**
 * What an object holds on a device: buffers, streams and other handles, closed together, the last one first. A constructor that makes
 * several of them does so in a scope that closes itself, and keeps the scope when all of them are there; what fails half-way then leaves
 * nothing behind:
 *
 * {@snippet :
 * try (DeviceScope scope = new DeviceScope(device)) {
 *   keys = scope.allocate("keys", DType.BF16, rows, width);
 *   values = scope.allocate("values", DType.BF16, rows, width);
 *   owned = scope.keep();
 * }
 * }
 *
 * <p>For one thread at a time.
 */
public final class DeviceScope implements AutoCloseable {
  private final Device device;
  private Deque<AutoCloseable> owned = new ArrayDeque<>(); // the last one first; null when closed or kept

  /** @param device null: buffers are outlines ({@link DeviceBuffer#outline}), and other parts cannot be made */
  public DeviceScope(Device device) {
    this.device = device;
  }

  /** {@link Device#allocate}, owned. */
  public DeviceBuffer allocate(String what, DType dtype, long... shape) {
    return own(device == null ? DeviceBuffer.outline(what, dtype, shape) : device.allocate(what, dtype, shape));
  }

  /** {@link Device#allocatePinned}, owned. */
  public PinnedBuffer allocatePinned(String what, long bytes) {
    return own(device.allocatePinned(what, bytes));
  }

  /** {@link Device#newStream}, owned. */
  public Stream newStream() {
    return own(device.newStream());
  }

  /** {@link Device#newEvent}, owned. */
  public Event newEvent(boolean timing) {
    return own(device.newEvent(timing));
  }

  /**
   * Takes a part over; one that cannot be taken over is closed.
   *
   * @throws IllegalStateException when the scope is closed or was kept
   */
  public <T extends AutoCloseable> T own(T part) {
    if (owned == null) {
      close(part, null);
      throw new IllegalStateException("the scope is closed");
    }
    owned.push(part);
    return part;
  }

  /** Bytes of the buffers that are owned directly. */
  public long bytes() {
    return owned.stream().mapToLong(part -> part instanceof DeviceBuffer buffer ? buffer.bytes() : 0).sum();
  }

  /** Hands everything over to a new scope. Closing this one then does nothing. */
  public DeviceScope keep() {
    if (owned == null) {
      throw new IllegalStateException("the scope is closed");
    }
    DeviceScope kept = new DeviceScope(device);
    kept.owned = owned;
    owned = null;
    return kept;
  }

  /** Closes every part, also when one of them fails, whose exception is thrown at the end. Idempotent. */
  @Override
  public void close() {
    if (owned == null) {
      return;
    }
    Deque<AutoCloseable> parts = owned;
    owned = null;
    RuntimeException failure = null;
    for (AutoCloseable part : parts) {
      failure = close(part, failure);
    }
    if (failure != null) {
      throw failure;
    }
  }

  /** Closes a part. Returns the failure so far, or else this part's. */
  private static RuntimeException close(AutoCloseable part, RuntimeException before) {
    try {
      part.close();
      return before;
    } catch (Exception e) {
      RuntimeException own = e instanceof RuntimeException r ? r : new IllegalStateException(e);
      if (before == null) {
        return own;
      }
      before.addSuppressed(own);
      return before;
    }
  }
}
