// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.runtime.op;

import dev.diffusionvl.runtime.DType;
import dev.diffusionvl.runtime.Device;
import dev.diffusionvl.runtime.DeviceBuffer;
import dev.diffusionvl.runtime.Stream;

/**
 * One step of AdamW for one tensor, the moments in 8 bits: logarithmic codes with a scale per block of {@link #BLOCK} elements, rounded by
 * chance so that small changes are not lost (after Dettmers et al., 2022). The same seed and step give the same bits.
 */
public final class Adamw8bit extends Op {
  /** Elements that share a scale. */
  public static final int BLOCK = 256;
  private static final int THREADS = 256;
  private static final int BLOCKS_EACH = THREADS / 32; // of elements, for a block of threads

  /**
   * The moments of a tensor of n elements; before the first step all four hold zeros.
   *
   * @param first U8 [n], 8-byte aligned
   * @param firstScale F32 [{@link #scales}(n)]
   * @param second U8 [n], 8-byte aligned
   * @param secondScale as firstScale
   */
  public record Moments(DeviceBuffer first, DeviceBuffer firstScale, DeviceBuffer second, DeviceBuffer secondScale) {}

  public Adamw8bit(Device device) {
    super(device, "adamw_8bit", TRAINED);
  }

  /** Scales of so many elements. */
  public static long scales(long elements) {
    return Math.ceilDiv(elements, BLOCK);
  }

  /**
   * @param master F32 [n]
   * @param weight BF16 or F32 [n]: gets the rounded master; may be master
   * @param moments of the tensor
   * @param gradient F32 [n]
   * @param clip F32 [1], factor of the gradient
   * @param seed of the tensor's random rounding
   */
  public void launch(Stream stream, DeviceBuffer master, DeviceBuffer weight, Moments moments, DeviceBuffer gradient, DeviceBuffer clip,
      Adamw.Settings settings, long seed) {
    long n = master.elements();
    require(settings.step() > 0, "step", settings.step());
    checkFloat("weight", weight);
    check("master", master, DType.F32, n);
    check("weight", weight, weight.dtype(), n);
    check("first moment", moments.first(), DType.U8, n);
    check("scales of the first moment", moments.firstScale(), DType.F32, scales(n));
    check("second moment", moments.second(), DType.U8, n);
    check("scales of the second moment", moments.secondScale(), DType.F32, scales(n));
    check("gradient", gradient, DType.F32, n);
    check("clip", clip, DType.F32, 1);
    checkPieces("first moment", moments.first(), 8, 8);
    checkPieces("second moment", moments.second(), 8, 8);
    stream.launch(instance(weight.dtype()), Math.toIntExact(Math.ceilDiv(scales(n), BLOCKS_EACH)), 1, 1, THREADS, 0)
        .ptr(master).ptr(weight).ptr(moments.first()).ptr(moments.firstScale()).ptr(moments.second()).ptr(moments.secondScale())
        .ptr(gradient).ptr(clip).i64(n).f32(settings.rate()).f32(settings.beta1()).f32(settings.beta2()).f32(settings.eps())
        .f32(settings.decay()).f32(settings.correction1()).f32(settings.correction2()).u64(seed).i32(settings.step()).go();
  }
}
