// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.train;

import dev.diffusionvl.runtime.DType;
import dev.diffusionvl.runtime.Device;
import dev.diffusionvl.runtime.DeviceBuffer;
import dev.diffusionvl.runtime.DeviceScope;
import java.util.EnumMap;
import java.util.Map;

/** Buffers of one part of training. They are allocated, or only counted: so a plan and what becomes of it cannot differ. */
final class TrainingMemory implements AutoCloseable {
  /** What memory is for. */
  enum Use { WEIGHTS, MASTERS, MOMENTS, GRADIENTS, ACTIVATIONS, WORKSPACES }

  private final Device device; // null: buffers are only counted
  private final DeviceScope scope; // stays empty then
  private final Use use;
  private final Map<Use, Long> bytes;

  private TrainingMemory(Device device, Use use, Map<Use, Long> bytes) {
    this.device = device;
    this.scope = new DeviceScope(device);
    this.use = use;
    this.bytes = bytes;
  }

  static TrainingMemory on(Device device) {
    return new TrainingMemory(device, Use.WORKSPACES, new EnumMap<>(Use.class));
  }

  /** Allocates nothing: its buffers are outlines. */
  static TrainingMemory counting() {
    return on(null);
  }

  /** Memory of its own for some use, which is counted together with this one's. */
  TrainingMemory of(Use what) {
    return new TrainingMemory(device, what, bytes);
  }

  /** A new buffer; an outline where buffers are only counted. */
  DeviceBuffer own(String what, DType type, long... shape) {
    DeviceBuffer buffer = device == null ? DeviceBuffer.outline(what, type, shape) : scope.allocate("training: " + what, type, shape);
    count(buffer.bytes());
    return buffer;
  }

  /** Counts memory that is taken elsewhere. */
  void count(long more) {
    bytes.merge(use, more, Math::addExact);
  }

  /** Of all buffers. */
  long bytes() {
    return bytes.values().stream().mapToLong(Long::longValue).sum();
  }

  /** Of the buffers that are for some use. */
  long bytes(Use what) {
    return bytes.getOrDefault(what, 0L);
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
