// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.model;

import dev.diffusionvl.loader.TextConfig;
import dev.diffusionvl.runtime.DType;
import dev.diffusionvl.runtime.Device;
import dev.diffusionvl.runtime.DeviceBuffer;
import dev.diffusionvl.runtime.DeviceScope;
import dev.diffusionvl.runtime.op.Heads;
import dev.diffusionvl.runtime.op.KeyValues;
import java.util.ArrayList;
import java.util.List;

/**
 * Keys and values of all sequences: [layers][K,V][kvHeads][slots][headDim]; where they are codes, also a scale for each row and head of
 * them. Each sequence owns a range of slots from its admission to its end, as long as it can ever become. A pass writes the rows of its
 * segments straight into their slots.
 */
final class KvCache implements AutoCloseable {
  private final DeviceScope owned;
  private final List<Plane> planes;
  private final KeyValues[] layers;
  private final RangeAllocator ranges;
  private final Heads heads;
  private final int slots;

  /** A memory that has {@code width} elements of each row, for every layer, K and V, and head: numbers or codes, or scales. */
  private record Plane(DeviceBuffer memory, int width) {}

  KvCache(Device device, DType dtype, KvChoice choice, TextConfig config, int slots) {
    heads = new Heads(config.heads(), config.kvHeads(), config.headDim());
    this.slots = slots;
    layers = new KeyValues[config.layers()];
    planes = new ArrayList<>();
    boolean coded = choice == KvChoice.FP8;
    try (DeviceScope scope = new DeviceScope(device)) {
      planes.add(plane(scope, "KV cache", coded ? DType.U8 : dtype, heads.dim()));
      if (coded) {
        planes.add(plane(scope, "scales of the KV cache", DType.F32, 1));
      }
      owned = scope.keep();
    }
    for (int i = 0; i < layers.length; i++) {
      KeyValues.Scales scales = coded ? new KeyValues.Scales(part(1, 2 * i), part(1, 2 * i + 1)) : null;
      layers[i] = new KeyValues(part(0, 2 * i), part(0, 2 * i + 1), heads, slots, scales);
    }
    ranges = new RangeAllocator(slots);
  }

  private Plane plane(DeviceScope scope, String name, DType dtype, int width) {
    return new Plane(scope.allocate(name, dtype, layers.length, 2, heads.keyValue(), slots, width), width);
  }

  /** Of a plane, K or V of a layer. */
  private DeviceBuffer part(int plane, int index) {
    int width = planes.get(plane).width();
    return planes.get(plane).memory().slice((long) index * heads.keyValue() * slots * width, heads.keyValue(), slots, width);
  }

  KeyValues layer(int index) {
    return layers[index];
  }

  /** Bytes of so many rows: keys and values of all layers and heads. */
  long bytes(int rows) {
    return planes.stream().mapToLong(plane -> elements(plane, rows) * plane.memory().dtype().bytes()).sum();
  }

  private long elements(Plane plane, int rows) {
    return 2L * layers.length * heads.keyValue() * rows * plane.width();
  }

  /** Memory for so many rows outside the cache, as {@link #rows} gives them: a buffer of each kind. */
  List<DeviceBuffer> allocate(DeviceScope scope, String name, int rows) {
    return planes.stream().map(plane -> scope.allocate(name, plane.memory().dtype(), elements(plane, rows))).toList();
  }

  /** Neighbouring slots: of each kind, a piece per layer, keys or values, and head. */
  List<List<DeviceBuffer>> rows(int begin, int rows) {
    return planes.stream().map(plane -> {
      List<DeviceBuffer> pieces = new ArrayList<>();
      for (int i = 0; i < 2 * layers.length * heads.keyValue(); i++) {
        pieces.add(plane.memory().slice(((long) i * slots + begin) * plane.width(), (long) rows * plane.width()));
      }
      return pieces;
    }).toList();
  }

  /** Who owns which slots. */
  RangeAllocator ranges() {
    return ranges;
  }

  @Override
  public void close() {
    owned.close();
  }
}
