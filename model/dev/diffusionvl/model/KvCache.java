// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.model;

import dev.diffusionvl.loader.TextConfig;
import dev.diffusionvl.runtime.DType;
import dev.diffusionvl.runtime.Device;
import dev.diffusionvl.runtime.DeviceBuffer;
import dev.diffusionvl.runtime.op.Heads;
import dev.diffusionvl.runtime.op.KeyValues;
import java.util.ArrayList;
import java.util.List;

/**
 * Keys and values of all sequences: [layers][K,V][kvHeads][slots][headDim]. Each sequence owns a range of slots from its admission to its
 * end, as long as it can ever become. A pass writes the rows of its segments straight into their slots.
 */
final class KvCache implements AutoCloseable {
  private final DeviceBuffer storage;
  private final KeyValues[] layers;
  private final RangeAllocator ranges;
  private final Heads heads;
  private final int slots;

  KvCache(Device device, DType dtype, TextConfig config, int slots) {
    heads = new Heads(config.heads(), config.kvHeads(), config.headDim());
    this.slots = slots;
    storage = device.allocate("KV cache", dtype, config.layers(), 2, heads.keyValue(), slots, heads.dim());
    layers = new KeyValues[config.layers()];
    long one = (long) heads.keyValue() * slots * heads.dim();
    for (int i = 0; i < layers.length; i++) {
      layers[i] = new KeyValues(storage.slice(2 * i * one, heads.keyValue(), slots, heads.dim()),
          storage.slice((2 * i + 1) * one, heads.keyValue(), slots, heads.dim()), heads, slots);
    }
    ranges = new RangeAllocator(slots);
  }

  KeyValues layer(int index) {
    return layers[index];
  }

  /** Elements of so many rows: keys and values of all layers and heads. */
  long elements(int rows) {
    return 2L * layers.length * heads.keyValue() * rows * heads.dim();
  }

  /** Neighbouring slots, a piece per layer, keys or values, and head. */
  List<DeviceBuffer> rows(int begin, int rows) {
    List<DeviceBuffer> pieces = new ArrayList<>();
    for (int i = 0; i < 2 * layers.length * heads.keyValue(); i++) {
      pieces.add(storage.slice(((long) i * slots + begin) * heads.dim(), (long) rows * heads.dim()));
    }
    return pieces;
  }

  /** Who owns which slots. */
  RangeAllocator ranges() {
    return ranges;
  }

  @Override
  public void close() {
    storage.close();
  }
}
