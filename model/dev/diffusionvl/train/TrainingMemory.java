// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.train;

import dev.diffusionvl.runtime.DType;
import dev.diffusionvl.runtime.Device;
import dev.diffusionvl.runtime.DeviceBuffer;
import dev.diffusionvl.runtime.DeviceScope;

/** Buffers of one part of training. They are allocated, or only counted: so a plan and what becomes of it cannot differ. */
final class TrainingMemory implements AutoCloseable {
  private final DeviceScope scope; // stays empty where buffers are only counted
  private final boolean counting;
  private long bytes;

  private TrainingMemory(DeviceScope scope, boolean counting) {
    this.scope = scope;
    this.counting = counting;
  }

  static TrainingMemory on(Device device) {
    return new TrainingMemory(new DeviceScope(device), false);
  }

  /** Allocates nothing. */
  static TrainingMemory counting() {
    return new TrainingMemory(new DeviceScope(null), true);
  }

  /** A new buffer; null where buffers are only counted. */
  DeviceBuffer own(String what, DType type, long... shape) {
    long elements = 1;
    for (long length : shape) {
      elements = Math.multiplyExact(elements, length);
    }
    bytes = Math.addExact(bytes, Math.multiplyExact(elements, (long) type.bytes()));
    return counting ? null : scope.allocate("training: " + what, type, shape);
  }

  /** Of all buffers. */
  long bytes() {
    return bytes;
  }

  /** Hands the buffers over, see {@link DeviceScope#keep}. */
  DeviceScope keep() {
    return scope.keep();
  }

  @Override
  public void close() {
    scope.close();
  }
}
