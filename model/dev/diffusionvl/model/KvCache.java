// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.model;

import dev.diffusionvl.loader.TextConfig;
import dev.diffusionvl.runtime.DType;
import dev.diffusionvl.runtime.Device;
import dev.diffusionvl.runtime.DeviceBuffer;
import dev.diffusionvl.runtime.op.Heads;
import dev.diffusionvl.runtime.op.KeyValues;

/**
 * Keys and values of one sequence: [layers][K,V][kvHeads][slots][headDim]. A pass writes the rows of its segments straight into their
 * slots; committing a block is advancing {@link #length}. Slots and positions run apart only in the reference's quirk that leaves a block
 * unstored.
 */
final class KvCache implements AutoCloseable {
  private final DeviceBuffer storage;
  private final KeyValues[] layers;
  private final int slots;
  private int length;

  KvCache(Device device, DType dtype, TextConfig config, int slots) {
    this.slots = slots;
    Heads heads = new Heads(config.heads(), config.kvHeads(), config.headDim());
    storage = device.allocate("KV cache", dtype, config.layers(), 2, heads.keyValue(), slots, heads.dim());
    layers = new KeyValues[config.layers()];
    long one = (long) heads.keyValue() * slots * heads.dim();
    for (int i = 0; i < layers.length; i++) {
      layers[i] = new KeyValues(storage.slice(2 * i * one, heads.keyValue(), slots, heads.dim()),
          storage.slice((2 * i + 1) * one, heads.keyValue(), slots, heads.dim()), heads, slots);
    }
  }

  KeyValues layer(int index) {
    return layers[index];
  }

  /** Capacity in rows. */
  int slots() {
    return slots;
  }

  /** Committed rows. */
  int length() {
    return length;
  }

  /** Forgets all rows. */
  void clear() {
    length = 0;
  }

  void commit(int rows) {
    if (rows < 0 || length + rows > slots) {
      throw new IllegalStateException("commit of %d rows to a KV cache of %d slots, %d used".formatted(rows, slots, length));
    }
    length += rows;
  }

  @Override
  public void close() {
    storage.close();
  }
}
