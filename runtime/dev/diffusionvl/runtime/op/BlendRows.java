// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.runtime.op;

import dev.diffusionvl.runtime.DType;
import dev.diffusionvl.runtime.Device;
import dev.diffusionvl.runtime.DeviceBuffer;
import dev.diffusionvl.runtime.Stream;

/** Every row of the result is a weighted sum of four rows of a table: bilinear resizing of a picture whose pixels are rows. */
public final class BlendRows extends Op {
  /** Terms of each sum. */
  public static final int TERMS = 4;

  private static final int THREADS = 128;

  public BlendRows(Device device) {
    super(device, "blend_rows");
  }

  /**
   * @param table BF16, F16 or F32 [tableRows, width]
   * @param index I32 [rows, 4]; outside the table: the row becomes NaN
   * @param weight F32 [rows, 4]; 0 leaves a term out, whatever its index and row
   * @param out dtype of table [rows, width]
   */
  public void launch(Stream stream, DeviceBuffer table, DeviceBuffer index, DeviceBuffer weight, DeviceBuffer out, int rows, int width,
      int tableRows) {
    require(rows >= 0, "rows", rows);
    require(width > 0, "width", width);
    require(tableRows > 0, "table rows", tableRows);
    checkFloat("table", table);
    check("table", table, table.dtype(), (long) tableRows * width);
    check("index", index, DType.I32, (long) rows * TERMS);
    check("weight", weight, DType.F32, (long) rows * TERMS);
    check("out", out, table.dtype(), (long) rows * width);
    stream.launch(instance(table.dtype()), rows, 1, 1, THREADS, 0)
        .ptr(table).ptr(index).ptr(weight).ptr(out).i32(rows).i32(width).i32(tableRows).go();
  }
}
