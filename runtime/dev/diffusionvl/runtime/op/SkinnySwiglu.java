// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.runtime.op;

import dev.diffusionvl.runtime.DType;
import dev.diffusionvl.runtime.Device;
import dev.diffusionvl.runtime.DeviceBuffer;
import dev.diffusionvl.runtime.Stream;

/** RMSNorm, gate and up product and SwiGLU by our own kernel for few rows: out = silu(gate) · up of the normalised h. */
public final class SkinnySwiglu extends SkinnyOp {
  public SkinnySwiglu(Device device) {
    super(device, "skinny_swiglu", true);
  }

  /**
   * @param h before the norm
   * @param linear [2 · inter, in] without a bias: gate, then up
   * @param out dtype of h [rows, inter], 16-byte aligned
   */
  public void launch(Stream stream, SkinnyWorkspace workspace, Residual h, NormedLinear linear, DeviceBuffer out, int rows) {
    launch(stream, workspace, h, linear, out, rows, SkinnySplit.of(linear.out(), linear.in(), true));
  }

  /**
   * The same over blocks of one's own choice: for measurements, as another split gives other bits.
   *
   * @param split of the matrix's sizes
   */
  public void launch(Stream stream, SkinnyWorkspace workspace, Residual h, NormedLinear linear, DeviceBuffer out, int rows,
      SkinnySplit split) {
    checkSplit(split, linear.weight());
    int inter = linear.out() / 2;
    require(linear.out() == 2 * inter, "columns of gate and up", linear.out());
    checkWithoutBias(linear);
    checkNormed(workspace, h, linear, rows);
    DType dtype = h.rows().dtype();
    check("out", out, dtype, (long) rows * inter);
    checkAligned("out", out);
    inPieces(dtype, rows, (first, count) -> begin(stream, workspace, h, linear, split, first, count)
        .ptr(out, (long) first * inter).ptr(workspace.partials()).ptr(workspace.arrived())
        .i32(count).i32(inter).i32(linear.in()).i32(split.span()).go());
  }
}
