// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.runtime.op;

import dev.diffusionvl.runtime.Device;
import dev.diffusionvl.runtime.DeviceBuffer;
import dev.diffusionvl.runtime.Stream;

/**
 * {@link ResidualAdd} and then {@link RmsNorm} in one launch, with the same bits: h = T(h + T(acc + bias)),
 * y = T(T(h · rsqrt(mean(h²) + eps)) · weight).
 */
public final class ResidualRmsNorm extends ProductOp {
  private static final int THREADS = 256;
  private static final int EACH = 8;

  public ResidualRmsNorm(Device device) {
    super(device, "residual_rms_norm");
  }

  /**
   * @param h BF16, F16 or F32 [rows, width], updated in place
   * @param acc F32 accumulators, or rounded to the dtype of h already, [rows, width]: the linear layer's output without bias
   * @param bias dtype of h [width], or null; only with accumulators
   * @param weight dtype of h [width], of the norm
   * @param y dtype of h [rows, width]; not h
   */
  public void launch(Stream stream, DeviceBuffer h, DeviceBuffer acc, DeviceBuffer bias, DeviceBuffer weight, DeviceBuffer y,
      int rows, int width, float eps) {
    require(rows >= 0, "rows", rows);
    require(width > 0, "width", width);
    long elements = (long) rows * width;
    checkFloat("h", h);
    check("h", h, h.dtype(), elements);
    checkProduct("acc", acc, bias, h.dtype(), elements);
    checkOptional("bias", bias, h.dtype(), width);
    check("weight", weight, h.dtype(), width);
    check("y", y, h.dtype(), elements);
    checkPieces("h", h, width, EACH);
    checkPieces("acc", acc, width, EACH);
    checkPieces("bias", bias, width, EACH);
    checkPieces("weight", weight, width, EACH);
    checkPieces("y", y, width, EACH);
    stream.launch(instance(acc, h.dtype()), rows, 1, 1, THREADS, 0)
        .ptr(h).ptr(acc).ptrOrNull(bias).ptr(weight).ptr(y).i32(rows).i32(width).f32(eps).go();
  }
}
