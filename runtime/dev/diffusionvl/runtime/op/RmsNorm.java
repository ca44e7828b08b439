// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.runtime.op;

import dev.diffusionvl.runtime.DType;
import dev.diffusionvl.runtime.Device;
import dev.diffusionvl.runtime.DeviceBuffer;
import dev.diffusionvl.runtime.Stream;

/** RMSNorm with the reference's two roundings (docs/model.md, "Language model"): y = T(T(x · rsqrt(mean(x²) + eps)) · weight). */
public final class RmsNorm extends Op {
  private static final int THREADS = 256;

  public RmsNorm(Device device) {
    super(device, "rms_norm");
  }

  /**
   * @param x BF16, F16 or F32 [rows, width]
   * @param weight dtype of x [width]
   * @param y dtype of x [rows, width]; may be x
   */
  public void launch(Stream stream, DeviceBuffer x, DeviceBuffer weight, DeviceBuffer y, int rows, int width, float eps) {
    require(rows >= 0, "rows", rows);
    require(width > 0, "width", width);
    checkFloat("x", x);
    check("x", x, x.dtype(), (long) rows * width);
    check("weight", weight, x.dtype(), width);
    check("y", y, x.dtype(), (long) rows * width);
    stream.launch(instance(x.dtype()), rows, 1, 1, THREADS, 0)
        .ptr(x).ptr(weight).ptr(y).i32(rows).i32(width).f32(eps).go();
  }
}
