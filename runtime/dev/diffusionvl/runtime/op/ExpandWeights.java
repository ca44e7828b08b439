// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.runtime.op;

import dev.diffusionvl.runtime.Device;
import dev.diffusionvl.runtime.DeviceBuffer;
import dev.diffusionvl.runtime.KernelFunction;
import dev.diffusionvl.runtime.Stream;

/** A packed matrix as numbers, row by row, for products by cuBLAS. */
public final class ExpandWeights extends Op {
  private static final int THREADS = 256;

  private final Instances fp8;
  private final Instances int4;

  public ExpandWeights(Device device) {
    super(device, "expand_weights", HALVES);
    fp8 = instances(device, WeightForm.FP8);
    int4 = instances(device, WeightForm.INT4);
  }

  private static Instances instances(Device device, WeightForm form) {
    return new Instances(device, "expand_weights", HALVES, dtype -> "expand_weights_" + dtype.suffix() + form.suffix());
  }

  /** @param out BF16 or F16 [out, in], 16-byte aligned: (code − zero) · scale, rounded once */
  public void launch(Stream stream, WeightMatrix.Packed w, DeviceBuffer out) {
    PackedLayout layout = w.layout();
    checkPacked(w);
    checkFloat("out", out);
    check("out", out, out.dtype(), (long) layout.out() * layout.in());
    checkAligned("out", out);
    KernelFunction kernel = (layout.form() == WeightForm.FP8 ? fp8 : int4).of(out.dtype());
    SkinnyOp.packed(stream.launch(kernel, layout.chunks(), layout.tiles(), 1, THREADS, 0), w)
        .ptr(out).i32(layout.out()).i32(layout.in()).i32(layout.paired() ? 1 : 0).go();
  }
}
