// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.runtime.op;

import dev.diffusionvl.runtime.DType;
import dev.diffusionvl.runtime.Device;
import dev.diffusionvl.runtime.DeviceBuffer;
import dev.diffusionvl.runtime.Stream;

/** y = x · wᵀ by our own kernel for few rows; a row has the same bits however many rows there are. */
public final class SkinnyGemm extends SkinnyOp {
  public SkinnyGemm(Device device) {
    super(device, "skinny_gemm");
  }

  /**
   * @param x BF16, F16 or F32 [rows, k], 16-byte aligned; k a multiple of 8
   * @param w dtype of x [n, k], 16-byte aligned
   * @param y [rows, n]: F32, the sums, or the dtype of x, rounded once
   */
  public void launch(Stream stream, SkinnyWorkspace workspace, DeviceBuffer x, DeviceBuffer w, DeviceBuffer y, int rows, int n, int k) {
    launch(stream, workspace, x, new WeightMatrix.Dense(w, n, k), y, rows);
  }

  /**
   * @param x dtype of dense weights, BF16 or F16 with packed ones; [rows, in], 16-byte aligned
   * @param y [rows, out]: F32, the sums, or the dtype of x, rounded once
   */
  public void launch(Stream stream, SkinnyWorkspace workspace, DeviceBuffer x, WeightMatrix w, DeviceBuffer y, int rows) {
    checkProduct(workspace, "x", x, w, rows);
    int n = w.out();
    int k = w.in();
    boolean sums = y != null && y.dtype() == DType.F32;
    check("y", y, sums ? DType.F32 : x.dtype(), (long) rows * n);
    SkinnySplit split = SkinnySplit.of(n, k, false);
    inPieces(x.dtype(), rows, (first, count) -> begin(stream, workspace, x, w, split, first, count)
        .ptrOrNull(sums ? y : null, (long) first * n).ptrOrNull(sums ? null : y, (long) first * n)
        .ptr(workspace.partials()).ptr(workspace.arrived()).i32(count).i32(n).i32(k).i32(split.span()).go());
  }
}
