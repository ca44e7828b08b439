// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.runtime.op;

import dev.diffusionvl.runtime.DType;
import dev.diffusionvl.runtime.Device;
import dev.diffusionvl.runtime.DeviceBuffer;
import dev.diffusionvl.runtime.KernelFunction;
import dev.diffusionvl.runtime.Stream;

/** A packed matrix as numbers, row by row, for products by cuBLAS. */
public final class ExpandWeights extends Op {
  private static final int THREADS = 256;

  public ExpandWeights(Device device) {
    super(device, "expand_weights");
  }

  /** @param out BF16 [out, in], 16-byte aligned: (code − zero) · scale, rounded once */
  public void launch(Stream stream, WeightMatrix.Packed w, DeviceBuffer out) {
    PackedLayout layout = w.layout();
    checkPacked(w);
    check("out", out, DType.BF16, (long) layout.out() * layout.in());
    checkAligned("out", out);
    KernelFunction kernel = kernel("expand_weights_bf16" + layout.form().suffix());
    SkinnyOp.packed(stream.launch(kernel, layout.chunks(), layout.tiles(), 1, THREADS, 0), w)
        .ptr(out).i32(layout.out()).i32(layout.in()).i32(layout.paired() ? 1 : 0).go();
  }
}
