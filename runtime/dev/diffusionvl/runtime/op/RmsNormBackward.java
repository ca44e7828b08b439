// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.runtime.op;

import dev.diffusionvl.runtime.DType;
import dev.diffusionvl.runtime.Device;
import dev.diffusionvl.runtime.DeviceBuffer;
import dev.diffusionvl.runtime.Stream;

/** Gradient of {@link RmsNorm}. */
public final class RmsNormBackward extends Op {
  private static final int THREADS = 256;
  private static final int MAX_BLOCKS = 128;

  private final ColumnSum columnSum;

  public RmsNormBackward(Device device) {
    super(device, "rms_norm_backward", TRAINED);
    columnSum = new ColumnSum(device);
  }

  /** F32 elements of scratch memory that {@link #launch} needs. */
  public static long scratch(int rows, int width) {
    return (long) Math.min(rows, MAX_BLOCKS) * width;
  }

  /**
   * @param x BF16 or F32 [rows, width], what the norm was applied to
   * @param weight dtype of x [width]
   * @param dy dtype of x [rows, width], gradient of the norm's output
   * @param dx dtype of x [rows, width]: the gradient of x is added to it
   * @param dWeight F32 [width]: the gradient of the weight is added to it; null: it is not wanted
   * @param scratch F32, {@link #scratch} elements
   */
  public void launch(Stream stream, DeviceBuffer x, DeviceBuffer weight, DeviceBuffer dy, DeviceBuffer dx, DeviceBuffer dWeight,
      DeviceBuffer scratch, int rows, int width, float eps) {
    require(rows >= 0, "rows", rows);
    require(width > 0, "width", width);
    checkFloat("x", x);
    check("x", x, x.dtype(), times(rows, width));
    check("weight", weight, x.dtype(), width);
    check("dy", dy, x.dtype(), times(rows, width));
    check("dx", dx, x.dtype(), times(rows, width));
    checkOptional("weight gradient", dWeight, DType.F32, width);
    check("scratch", scratch, DType.F32, scratch(rows, width));
    int blocks = Math.min(rows, MAX_BLOCKS);
    stream.launch(instance(x.dtype()), blocks, 1, 1, THREADS, 0)
        .ptr(x).ptr(weight).ptr(dy).ptr(dx).ptr(scratch).i32(rows).i32(width).f32(eps).go();
    if (dWeight != null && rows > 0) {
      columnSum.launch(stream, scratch, dWeight, blocks, width);
    }
  }
}
