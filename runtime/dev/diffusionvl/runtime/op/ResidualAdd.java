// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.runtime.op;

import dev.diffusionvl.runtime.Device;
import dev.diffusionvl.runtime.DeviceBuffer;
import dev.diffusionvl.runtime.Stream;

/** h = T(h + T(acc + bias)): the end of a branch, rounded twice as the reference does. */
public final class ResidualAdd extends ProductOp {
  private static final int THREADS = 256;
  private static final int EACH = 4;
  private static final int COLUMNS = EACH * THREADS;

  public ResidualAdd(Device device) {
    super(device, "residual_add");
  }

  /**
   * @param h BF16, F16 or F32 [rows, width], in place
   * @param acc F32 accumulators, or rounded to the dtype of h already, [rows, width]
   * @param bias dtype of h [width], or null; only with accumulators
   */
  public void launch(Stream stream, DeviceBuffer h, DeviceBuffer acc, DeviceBuffer bias, int rows, int width) {
    require(rows >= 0, "rows", rows);
    require(width > 0, "width", width);
    checkFloat("h", h);
    check("h", h, h.dtype(), (long) rows * width);
    checkProduct("acc", acc, bias, h.dtype(), (long) rows * width);
    checkOptional("bias", bias, h.dtype(), width);
    checkPieces("h", h, width, EACH);
    checkPieces("acc", acc, width, EACH);
    checkPieces("bias", bias, width, EACH);
    stream.launch(instance(acc, h.dtype()), rows, blocks(width, COLUMNS), 1, THREADS, 0)
        .ptr(h).ptr(acc).ptrOrNull(bias).i32(rows).i32(width).go();
  }
}
