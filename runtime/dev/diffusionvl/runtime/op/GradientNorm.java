// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.runtime.op;

import dev.diffusionvl.runtime.DType;
import dev.diffusionvl.runtime.Device;
import dev.diffusionvl.runtime.DeviceBuffer;
import dev.diffusionvl.runtime.Stream;

/** The global norm of gradients, and the factor that clips it. */
public final class GradientNorm extends Op {
  private static final int THREADS = 256;
  private static final int EACH = 4;
  private static final int MAX_BLOCKS = 1024;

  public GradientNorm(Device device) {
    super(device, "gradient_norm");
  }

  /** F64 elements of scratch memory for a buffer of so many elements. */
  public static int scratch(long elements) {
    return (int) Math.min(MAX_BLOCKS, (elements + THREADS * EACH - 1) / (THREADS * EACH));
  }

  /**
   * @param gradients F32 [n]
   * @param scratch F64, {@link #scratch} elements
   * @param result F32 [2]: the norm, and min(1, limit / norm)
   * @param limit on the norm, above 0
   */
  public void launch(Stream stream, DeviceBuffer gradients, DeviceBuffer scratch, DeviceBuffer result, float limit) {
    long n = gradients.elements();
    int blocks = scratch(n);
    require(limit > 0, "limit", limit);
    check("gradients", gradients, DType.F32, n);
    check("scratch", scratch, DType.F64, blocks);
    check("result", result, DType.F32, 2);
    stream.launch(kernel("gradient_norm_partial"), blocks, 1, 1, THREADS, 0).ptr(gradients).ptr(scratch).i64(n).go();
    stream.launch(kernel("gradient_norm_finish"), 1, 1, 1, THREADS, 0).ptr(scratch).ptr(result).i32(blocks).f32(limit).go();
  }
}
