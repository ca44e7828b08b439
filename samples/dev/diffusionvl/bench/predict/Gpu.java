// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.bench.predict;

import dev.diffusionvl.runtime.Device;
import java.util.List;
import java.util.stream.Collectors;

/**
 * What the time model knows of a GPU.
 *
 * @param name as {@code --device} spells it, or the driver's name
 * @param multiprocessors their number
 * @param copyBytesPerSecond what a large copy reaches, bytes read plus bytes written; the known ones by NVIDIA's peak and the part of it
 *     that such copies are known to reach
 * @param sharedBytes shared memory of a multiprocessor
 * @param overlaps programmatic dependent launch
 * @param bulk our own products of up to 8 rows can copy in bulk
 */
public record Gpu(String name, int multiprocessors, double copyBytesPerSecond, int sharedBytes, boolean overlaps, boolean bulk) {
  private static final int MULTIPROCESSORS = 16; // CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT
  private static final int SHARED = 81; // CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_MULTIPROCESSOR

  private static final List<Gpu> KNOWN = List.of(
      new Gpu("h100", 132, 3.0e12, 228 << 10, true, true), new Gpu("h200", 132, 4.3e12, 228 << 10, true, true),
      new Gpu("a100", 108, 1.8e12, 164 << 10, false, false), new Gpu("rtx4090", 128, 0.92e12, 100 << 10, false, false));

  /** A GPU of the list. @throws IllegalArgumentException naming the list, for others */
  public static Gpu named(String name) {
    return KNOWN.stream().filter(g -> g.name().equals(name)).findFirst().orElseThrow(() -> new IllegalArgumentException(
        "'" + name + "', allowed are " + KNOWN.stream().map(Gpu::name).collect(Collectors.joining(", "))));
  }

  /** This machine's, with its measured rate. */
  public static Gpu of(Device device, double copyBytesPerSecond) {
    return new Gpu(device.name(), device.attribute(MULTIPROCESSORS), copyBytesPerSecond, device.attribute(SHARED), device.overlaps(),
        device.copiesInBulk());
  }
}
