// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.runtime.op;

import dev.diffusionvl.runtime.DType;
import dev.diffusionvl.runtime.Device;
import dev.diffusionvl.runtime.DeviceBuffer;
import dev.diffusionvl.runtime.Stream;

/** Gradient of {@link GatherRows}: adds rows to the rows of a table from which they were taken. */
public final class ScatterAddRows extends Op {
  private static final int THREADS = 256;
  private static final int COLUMNS = 4 * THREADS; // of a block

  public ScatterAddRows(Device device) {
    super(device, "scatter_add_rows", TRAINED);
  }

  /**
   * The lists are trusted: an index past x or the table is an access out of bounds.
   *
   * @param x BF16 or F32 [rows, width]
   * @param target I32 [targets]: rows of the table, each named once
   * @param begin I32 [targets + 1]: where the list of each target begins in {@code source}
   * @param source I32: rows of x
   * @param table F32 [table rows, width]: the rows of x are added to it in the order of the lists
   */
  public void launch(Stream stream, DeviceBuffer x, DeviceBuffer target, DeviceBuffer begin, DeviceBuffer source, DeviceBuffer table,
      int targets, int width) {
    require(targets >= 0, "targets", targets);
    require(width > 0, "width", width);
    checkFloat("x", x);
    check("x", x, x.dtype(), 0);
    check("target", target, DType.I32, targets);
    check("begin", begin, DType.I32, targets + 1L);
    check("source", source, DType.I32, 0);
    check("table", table, DType.F32, 0);
    stream.launch(instance(x.dtype()), targets, blocks(width, COLUMNS), 1,
        THREADS, 0).ptr(x).ptr(target).ptr(begin).ptr(source).ptr(table).i32(width).go();
  }
}
