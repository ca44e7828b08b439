// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.train;

import dev.diffusionvl.runtime.DType;
import dev.diffusionvl.runtime.Device;
import dev.diffusionvl.runtime.DeviceBuffer;
import java.util.ArrayList;
import java.util.List;

/** Buffers of one part of training. They are allocated, or only counted: so a plan and what becomes of it cannot differ. */
final class TrainingMemory implements AutoCloseable {
  private final Device device; // null: buffers are only counted
  private final List<DeviceBuffer> owned = new ArrayList<>();
  private long bytes;

  private TrainingMemory(Device device) {
    this.device = device;
  }

  static TrainingMemory on(Device device) {
    return new TrainingMemory(device);
  }

  /** Allocates nothing. */
  static TrainingMemory counting() {
    return new TrainingMemory(null);
  }

  /** A new buffer; null where buffers are only counted. */
  DeviceBuffer own(String what, DType type, long... shape) {
    long elements = 1;
    for (long length : shape) {
      elements = Math.multiplyExact(elements, length);
    }
    bytes = Math.addExact(bytes, Math.multiplyExact(elements, (long) type.bytes()));
    if (device == null) {
      return null;
    }
    DeviceBuffer buffer = device.allocate("training: " + what, type, shape);
    owned.add(buffer);
    return buffer;
  }

  /** Of all buffers. */
  long bytes() {
    return bytes;
  }

  @Override
  public void close() {
    owned.forEach(DeviceBuffer::close);
  }
}
