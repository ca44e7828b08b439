// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.runtime.op;

import dev.diffusionvl.runtime.DType;
import dev.diffusionvl.runtime.Device;
import dev.diffusionvl.runtime.DeviceBuffer;
import dev.diffusionvl.runtime.KernelFunction;
import dev.diffusionvl.runtime.Stream;

/** Codes of a matrix with few bits per weight into the order of {@link PackedLayout}, when a checkpoint is loaded. */
public final class PackWeights extends Op {
  private static final int THREADS = 256;

  public PackWeights(Device device) {
    super(device, "pack_weights");
  }

  /**
   * Packs the rows of a tile, or some of its chunks.
   *
   * @param form FP8 or INT4
   * @param codes U8 [{@link PackedLayout#TILE}, columns], one code per byte, in the order of the tile's places
   * @param columns a multiple of 8
   * @param units U8, the units of these columns, one behind the other: {@link WeightForm#unitBytes} for each {@link PackedLayout#CHUNK}
   *     columns, 16-byte aligned; zeros behind the last column
   */
  public void launch(Stream stream, WeightForm form, DeviceBuffer codes, int columns, DeviceBuffer units) {
    if (form == WeightForm.DENSE) {
      throw new IllegalArgumentException("pack_weights: form is DENSE, which has no codes");
    }
    require(columns > 0 && columns % 8 == 0, "columns", columns);
    int chunks = blocks(columns, PackedLayout.CHUNK);
    check("codes", codes, DType.U8, times(PackedLayout.TILE, columns));
    check("units", units, DType.U8, times(chunks, form.unitBytes()));
    checkAligned("codes", codes);
    checkAligned("units", units);
    KernelFunction kernel = kernel("pack_weights" + form.suffix());
    stream.launch(kernel, chunks, 1, 1, THREADS, 0).ptr(codes).ptr(units).i32(columns).go();
  }
}
