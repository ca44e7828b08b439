// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.runtime.op;

import dev.diffusionvl.runtime.DType;
import dev.diffusionvl.runtime.Device;
import dev.diffusionvl.runtime.DeviceBuffer;
import dev.diffusionvl.runtime.Stream;

/** out[r] = table[index[r]]: token embeddings and row permutations. */
public final class GatherRows extends Op {
  private static final int THREADS = 128;

  public GatherRows(Device device) {
    super(device, "gather_rows");
  }

  /**
   * @param table BF16, F16 or F32 [tableRows, width]
   * @param index I32 [rows]; −1 − i: row i of {@code fallback}; past the table or the fallback: the row becomes NaN
   * @param fallback dtype of table [one row or more, width], or null: such rows stay as they are
   * @param out dtype of table [rows, width]
   */
  public void launch(Stream stream, DeviceBuffer table, DeviceBuffer index, DeviceBuffer fallback, DeviceBuffer out, int rows, int width,
      int tableRows) {
    launch(stream, table, null, index, fallback, out, null, rows, width, tableRows);
  }

  /**
   * The same for rows that are picked, and with the sums of squares that {@link RowSquares} makes of out.
   *
   * @param pick I32 [rows]: where in {@code index} a row's index stands, which must be inside; or null: row by row
   * @param squares F32 [rows, {@link RowSquares#groups}(width)], or null
   */
  public void launch(Stream stream, DeviceBuffer table, DeviceBuffer pick, DeviceBuffer index, DeviceBuffer fallback, DeviceBuffer out,
      DeviceBuffer squares, int rows, int width, int tableRows) {
    require(rows >= 0, "rows", rows);
    require(width > 0, "width", width);
    require(tableRows > 0, "table rows", tableRows);
    checkFloat("table", table);
    check("table", table, table.dtype(), (long) tableRows * width);
    checkOptional("pick", pick, DType.I32, rows);
    check("index", index, DType.I32, pick == null ? rows : 1);
    checkOptional("fallback", fallback, table.dtype(), width);
    check("out", out, table.dtype(), (long) rows * width);
    checkOptional("squares", squares, DType.F32, (long) rows * RowSquares.groups(width));
    int fallbackRows = fallback == null ? 0 : (int) (fallback.elements() / width);
    stream.launch(instance(table.dtype()), rows, 1, 1, THREADS, 0)
        .ptr(table).ptrOrNull(pick).ptr(index).ptrOrNull(fallback).ptr(out).ptrOrNull(squares).i32(width).i32(tableRows)
        .i32(fallbackRows).go();
  }
}
