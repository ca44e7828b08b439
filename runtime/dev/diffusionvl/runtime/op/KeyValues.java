// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.runtime.op;

import dev.diffusionvl.runtime.DeviceBuffer;

/**
 * Keys and values of one layer by slot, and the heads that read them: a layer of a cache, or the rows of a vision tower.
 *
 * @param keys BF16, F16 or F32 [heads.keyValue, slots, heads.dim]; with scales, U8: codes of E4M3 in the order of cuda/include/e4m3.cuh
 * @param values as keys
 * @param slots capacity in rows
 * @param scales what codes are multiplied with, heads of {@value #CODED_DIM} dimensions; null where keys and values are numbers
 */
public record KeyValues(DeviceBuffer keys, DeviceBuffer values, Heads heads, int slots, Scales scales) {
  /** Dimensions of a head whose keys and values may be codes. */
  public static final int CODED_DIM = 128;

  /** A scale per row and head. @param keys F32 [heads.keyValue, slots] @param values as keys */
  public record Scales(DeviceBuffer keys, DeviceBuffer values) {}

  /** Numbers. */
  public KeyValues(DeviceBuffer keys, DeviceBuffer values, Heads heads, int slots) {
    this(keys, values, heads, slots, null);
  }

  /** Whether they are codes. */
  public boolean coded() {
    return scales != null;
  }

  /** The same memory of numbers, laid out for fewer slots; what is in it means nothing there. */
  public KeyValues withSlots(int fewer) {
    return new KeyValues(keys.slice(0, heads.keyValue(), fewer, heads.dim()), values.slice(0, heads.keyValue(), fewer, heads.dim()), heads,
        fewer);
  }
}
