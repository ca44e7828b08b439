// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.runtime.op;

import dev.diffusionvl.runtime.DeviceBuffer;

/**
 * Keys and values of one layer by slot, and the heads that read them: a layer of a cache, or the rows of a vision tower.
 *
 * @param keys BF16, F16 or F32 [heads.keyValue, slots, heads.dim]
 * @param values as keys
 * @param slots capacity in rows
 */
public record KeyValues(DeviceBuffer keys, DeviceBuffer values, Heads heads, int slots) {
  /** The same memory, laid out for fewer slots; what is in it means nothing there. */
  public KeyValues withSlots(int fewer) {
    return new KeyValues(keys.slice(0, heads.keyValue(), fewer, heads.dim()), values.slice(0, heads.keyValue(), fewer, heads.dim()), heads,
        fewer);
  }
}
