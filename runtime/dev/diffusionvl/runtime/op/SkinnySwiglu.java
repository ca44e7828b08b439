// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.runtime.op;

import dev.diffusionvl.runtime.DType;
import dev.diffusionvl.runtime.Device;
import dev.diffusionvl.runtime.DeviceBuffer;
import dev.diffusionvl.runtime.Stream;

/** RMSNorm, gate and up product and SwiGLU by our own kernel for few rows: out = silu(gate) · up of the normalised h. */
public final class SkinnySwiglu extends SkinnyOp {
  public SkinnySwiglu(Device device) {
    super(device, "skinny_swiglu");
  }

  /**
   * @param h BF16 or F32 [rows, k] before the norm, 16-byte aligned; k a multiple of 8
   * @param squares F32 [rows, {@link RowSquares#groups}(k)]: of h
   * @param norm dtype of h [k]: the norm's weight, 16-byte aligned
   * @param w dtype of h [2 · inter, k]: gate, then up; 16-byte aligned
   * @param out dtype of h [rows, inter], 16-byte aligned
   */
  public void launch(Stream stream, SkinnyWorkspace workspace, DeviceBuffer h, DeviceBuffer squares, DeviceBuffer norm, float eps,
      DeviceBuffer w, DeviceBuffer out, int rows, int inter, int k) {
    require(inter > 0, "inter", inter);
    checkProduct(workspace, "h", h, w, rows, 2 * inter, k);
    int groups = checkNorm(h, squares, norm, rows, k);
    check("out", out, h.dtype(), (long) rows * inter);
    checkAligned("out", out);
    SkinnySplit split = SkinnySplit.of(2 * inter, k, true);
    inPieces(h.dtype(), rows, (first, count) -> begin(stream, workspace, h.dtype(), split, count)
        .ptr(h, (long) first * k).ptr(squares, (long) first * groups).ptr(norm).f32(eps).ptr(w).ptr(out, (long) first * inter)
        .ptr(workspace.partials()).ptr(workspace.arrived()).i32(count).i32(inter).i32(k).i32(split.span()).go());
  }
}
