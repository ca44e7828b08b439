// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.runtime.op;

import dev.diffusionvl.runtime.DType;
import dev.diffusionvl.runtime.Device;
import dev.diffusionvl.runtime.DeviceBuffer;
import dev.diffusionvl.runtime.Stream;

/** Sums of squares of rows by groups of 128 columns: for an input of a product with a fused RMSNorm that no product wrote. */
public final class RowSquares extends Op {
  private static final int THREADS = 256;
  private static final int GROUP = 128;

  public RowSquares(Device device) {
    super(device, "row_squares");
  }

  /** Sums that a row of so many columns has. */
  public static int groups(int width) {
    return blocks(width, GROUP);
  }

  /**
   * @param x BF16, F16 or F32 [rows, width]
   * @param squares F32 [rows, groups(width)]
   */
  public void launch(Stream stream, DeviceBuffer x, DeviceBuffer squares, int rows, int width) {
    require(rows >= 0, "rows", rows);
    require(width > 0, "width", width);
    checkFloat("x", x);
    check("x", x, x.dtype(), (long) rows * width);
    check("squares", squares, DType.F32, (long) rows * groups(width));
    stream.launch(instance(x.dtype()), rows, 1, 1, THREADS, 0)
        .ptr(x).ptr(squares).i32(rows).i32(width).go();
  }
}
