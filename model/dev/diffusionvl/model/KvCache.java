// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.model;

import dev.diffusionvl.runtime.DType;
import dev.diffusionvl.runtime.Device;
import dev.diffusionvl.runtime.DeviceBuffer;

/**
 * Keys and values of one sequence: [layers][K,V][kvHeads][slots][headDim]. A pass writes the rows of its segments straight into their slots;
 * committing a block is advancing {@link #length}. Slots and positions run apart only in the reference's quirk that leaves a block unstored.
 */
final class KvCache implements AutoCloseable {
  private final DeviceBuffer storage;
  private final DeviceBuffer[] keys;
  private final DeviceBuffer[] values;
  private final int slots;
  private int length;

  KvCache(Device device, DType dtype, int layers, int kvHeads, int slots, int headDim) {
    this.slots = slots;
    storage = device.allocate("KV cache", dtype, layers, 2, kvHeads, slots, headDim);
    keys = new DeviceBuffer[layers];
    values = new DeviceBuffer[layers];
    long one = (long) kvHeads * slots * headDim;
    for (int i = 0; i < layers; i++) {
      keys[i] = storage.slice(2 * i * one, kvHeads, slots, headDim);
      values[i] = storage.slice((2 * i + 1) * one, kvHeads, slots, headDim);
    }
  }

  DeviceBuffer keys(int layer) {
    return keys[layer];
  }

  DeviceBuffer values(int layer) {
    return values[layer];
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
