// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.runtime.op;

import dev.diffusionvl.runtime.DType;
import dev.diffusionvl.runtime.Device;
import dev.diffusionvl.runtime.DeviceBuffer;
import dev.diffusionvl.runtime.Stream;

/** h += x · wᵀ by our own kernel for few rows, with the sums of squares that the next RMSNorm needs. */
public final class SkinnyResidual extends SkinnyOp {
  public SkinnyResidual(Device device) {
    super(device, "skinny_residual");
  }

  /**
   * @param x BF16, F16 or F32 [rows, k], 16-byte aligned; k a multiple of 8
   * @param w dtype of x [n, k], 16-byte aligned
   * @param h dtype of x [rows, n]: updated, with the sums of squares of the new rows
   */
  public void launch(Stream stream, SkinnyWorkspace workspace, DeviceBuffer x, DeviceBuffer w, Residual h, int rows, int n, int k) {
    launch(stream, workspace, x, new WeightMatrix.Dense(w, n, k), h, rows);
  }

  /** The same with weights in any form. */
  public void launch(Stream stream, SkinnyWorkspace workspace, DeviceBuffer x, WeightMatrix w, Residual h, int rows) {
    launchOver(SkinnySplit.of(w.out(), w.in(), false), stream, workspace, x, w, h, rows);
  }

  /**
   * The same over blocks of one's own choice: for measurements, as another split gives other bits.
   *
   * @param split of the matrix's sizes
   */
  public void launch(Stream stream, SkinnyWorkspace workspace, DeviceBuffer x, WeightMatrix w, Residual h, int rows,
      SkinnySplit split) {
    checkSplit(split, w);
    launchOver(split, stream, workspace, x, w, h, rows);
  }

  private void launchOver(SkinnySplit split, Stream stream, SkinnyWorkspace workspace, DeviceBuffer x, WeightMatrix w, Residual h,
      int rows) {
    checkProduct(workspace, "x", x, w, rows);
    int n = w.out();
    int k = w.in();
    int groups = RowSquares.groups(n);
    check("h", h.rows(), x.dtype(), (long) rows * n);
    checkAligned("h", h.rows());
    check("squares", h.squares(), DType.F32, (long) rows * groups);
    inPieces(x.dtype(), rows, (first, count) -> begin(stream, workspace, x, w, split, first, count)
        .ptr(h.rows(), (long) first * n).ptr(h.squares(), (long) first * groups)
        .ptr(workspace.partials()).ptr(workspace.arrived()).i32(count).i32(n).i32(k).i32(split.span()).go());
  }
}
