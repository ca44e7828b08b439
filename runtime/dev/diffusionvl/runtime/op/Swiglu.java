// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.runtime.op;

import dev.diffusionvl.runtime.Device;
import dev.diffusionvl.runtime.DeviceBuffer;
import dev.diffusionvl.runtime.Stream;

/** silu(gate) · up from the stacked gate and up product. */
public final class Swiglu extends ProductOp {
  private static final int THREADS = 256;
  private static final int EACH = 4;
  private static final int COLUMNS = EACH * THREADS;

  public Swiglu(Device device) {
    super(device, "swiglu");
  }

  /**
   * @param gateUp F32 accumulators, or rounded to the dtype of out already, [rows, 2 · inter]: gate, then up
   * @param bias dtype of out [2 · inter], or null; only with accumulators
   * @param out BF16, F16 or F32 [rows, inter]
   */
  public void launch(Stream stream, DeviceBuffer gateUp, DeviceBuffer bias, DeviceBuffer out, int rows, int inter) {
    require(rows >= 0, "rows", rows);
    require(inter > 0, "inter", inter);
    checkFloat("out", out);
    checkProduct("gate and up", gateUp, bias, out.dtype(), times(rows, 2L * inter));
    checkOptional("bias", bias, out.dtype(), 2L * inter);
    check("out", out, out.dtype(), (long) rows * inter);
    checkPieces("gate and up", gateUp, inter, EACH);
    checkPieces("bias", bias, inter, EACH);
    checkPieces("out", out, inter, EACH);
    stream.launch(instance(gateUp, out.dtype()), rows, blocks(inter, COLUMNS), 1, THREADS, 0)
        .ptr(gateUp).ptrOrNull(bias).ptr(out).i32(rows).i32(inter).go();
  }
}
