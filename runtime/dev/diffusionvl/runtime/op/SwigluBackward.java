// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.runtime.op;

import dev.diffusionvl.runtime.DType;
import dev.diffusionvl.runtime.Device;
import dev.diffusionvl.runtime.DeviceBuffer;
import dev.diffusionvl.runtime.Stream;

/** Gradient of {@link Swiglu}. */
public final class SwigluBackward extends Op {
  private static final int THREADS = 256;
  private static final int EACH = 4;

  public SwigluBackward(Device device) {
    super(device, "swiglu_backward", TRAINED);
  }

  /**
   * @param gateUp BF16 or F32 [rows, 2 · inter], what {@link Swiglu} was given, rounded, biases added
   * @param dOut dtype of gateUp [rows, inter]
   * @param dGateUp dtype of gateUp [rows, 2 · inter]; may be gateUp
   */
  public void launch(Stream stream, DeviceBuffer gateUp, DeviceBuffer dOut, DeviceBuffer dGateUp, int rows, int inter) {
    require(rows >= 0, "rows", rows);
    require(inter > 0, "inter", inter);
    checkFloat("gate and up", gateUp);
    check("gate and up", gateUp, gateUp.dtype(), times(rows, 2L * inter));
    check("gradient of the output", dOut, gateUp.dtype(), times(rows, inter));
    check("gradient of gate and up", dGateUp, gateUp.dtype(), times(rows, 2L * inter));
    if (inter % EACH == 0) {
      checkAligned("gate and up", gateUp);
      checkAligned("gradient of the output", dOut);
      checkAligned("gradient of gate and up", dGateUp);
    }
    stream.launch(instance(gateUp.dtype()), rows,
        blocks(inter, THREADS * EACH), 1, THREADS, 0).ptr(gateUp).ptr(dOut).ptr(dGateUp).i32(rows).i32(inter).go();
  }
}
