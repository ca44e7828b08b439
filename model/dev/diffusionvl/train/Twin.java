// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.train;

import dev.diffusionvl.model.Parameters;
import dev.diffusionvl.runtime.DType;
import dev.diffusionvl.runtime.Device;
import dev.diffusionvl.runtime.DeviceBuffer;
import java.util.IdentityHashMap;
import java.util.List;
import java.util.Map;
import java.util.function.Predicate;

/**
 * F32 memory with a place for each trained weight: gradients, moments, master weights. One allocation, so that what concerns all of it is
 * one launch; a weight's place has the weight's own layout.
 */
final class Twin implements AutoCloseable {
  private static final long MULTIPLE = 4; // elements: places begin at multiples of 16 bytes

  private final DeviceBuffer all;
  private final Map<DeviceBuffer, DeviceBuffer> places = new IdentityHashMap<>();

  /**
   * @param what for messages
   * @param trained which of the parameters' buffers have a place
   */
  Twin(Device device, String what, Parameters parameters, Predicate<DeviceBuffer> trained) {
    List<DeviceBuffer> weights = parameters.buffers().stream().filter(trained).toList();
    all = device.allocate(what, DType.F32, Math.max(MULTIPLE, weights.stream().mapToLong(weight -> rounded(weight.elements())).sum()));
    long at = 0;
    for (DeviceBuffer weight : weights) {
      places.put(weight, all.slice(at, weight.shape()));
      at += rounded(weight.elements());
    }
  }

  private static long rounded(long elements) {
    return (elements + MULTIPLE - 1) / MULTIPLE * MULTIPLE;
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
    all.close();
  }
}
