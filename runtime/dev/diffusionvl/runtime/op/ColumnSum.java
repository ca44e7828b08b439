// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.runtime.op;

import dev.diffusionvl.runtime.DType;
import dev.diffusionvl.runtime.Device;
import dev.diffusionvl.runtime.DeviceBuffer;
import dev.diffusionvl.runtime.Stream;

/** Column sums, added to what is there: the gradient of a bias. */
public final class ColumnSum extends Op {
  private static final int THREADS = 256;
  private static final int COLUMNS = 32; // of a block

  public ColumnSum(Device device) {
    super(device, "column_sum", TRAINED);
  }

  /**
   * @param x BF16 or F32 [rows, width]
   * @param sum F32 [width]: the sums are added to it
   */
  public void launch(Stream stream, DeviceBuffer x, DeviceBuffer sum, int rows, int width) {
    require(rows >= 0, "rows", rows);
    require(width > 0, "width", width);
    checkFloat("x", x);
    check("x", x, x.dtype(), times(rows, width));
    check("sum", sum, DType.F32, width);
    stream.launch(instance(x.dtype()), blocks(width, COLUMNS), 1, 1, THREADS, 0)
        .ptr(x).ptr(sum).i32(rows).i32(width).go();
  }
}
