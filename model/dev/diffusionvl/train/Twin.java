// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.train;

import dev.diffusionvl.runtime.DType;
import dev.diffusionvl.runtime.DeviceBuffer;
import dev.diffusionvl.runtime.DeviceScope;
import java.util.IdentityHashMap;
import java.util.List;
import java.util.Map;
import java.util.function.ToLongFunction;

/**
 * Memory with a place for each trained weight: gradients, moments, master weights. One allocation, so that what concerns all of it is
 * one launch, or one tensor of a snapshot.
 */
final class Twin implements AutoCloseable {
  private static final long MULTIPLE = 16; // bytes: where places begin

  private final DeviceScope scope;
  private final DeviceBuffer all;
  private final Map<DeviceBuffer, DeviceBuffer> places = new IdentityHashMap<>();

  /**
   * F32 places with the weights' own shapes.
   *
   * @param memory that becomes this object's
   * @param what for messages
   */
  Twin(TrainingMemory memory, String what, List<DeviceBuffer> weights) {
    this(memory, what, DType.F32, weights, DeviceBuffer::elements);
    places.replaceAll((weight, place) -> place.slice(0, weight.shape()));
  }

  /** @param length elements of a weight's place */
  Twin(TrainingMemory memory, String what, DType dtype, List<DeviceBuffer> weights, ToLongFunction<DeviceBuffer> length) {
    long each = MULTIPLE / dtype.bytes();
    ToLongFunction<DeviceBuffer> rounded = weight -> Math.ceilDiv(length.applyAsLong(weight), each) * each;
    try (memory) {
      all = memory.own(what, dtype, Math.max(each, weights.stream().mapToLong(rounded).sum()));
      scope = memory.keep();
    }
    long at = 0;
    for (DeviceBuffer weight : weights) {
      places.put(weight, all.slice(at, length.applyAsLong(weight)));
      at += rounded.applyAsLong(weight);
    }
  }

  /** The place of a weight; null if it is not trained, or null itself. */
  DeviceBuffer of(DeviceBuffer weight) {
    return places.get(weight);
  }

  /** Everything, zeros between the places included if it was filled with zeros. */
  DeviceBuffer all() {
    return all;
  }

  @Override
  public void close() {
    scope.close();
  }
}
