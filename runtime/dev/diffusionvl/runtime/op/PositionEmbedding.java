// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.runtime.op;

import dev.diffusionvl.runtime.DType;
import dev.diffusionvl.runtime.Device;
import dev.diffusionvl.runtime.DeviceBuffer;
import dev.diffusionvl.runtime.Stream;

/** out = T(T(patch + bias) + position): the end of the patch embedding, and the learned positions (docs/model.md, "SigLIP tower"). */
public final class PositionEmbedding extends ProductOp {
  private static final int THREADS = 256;
  private static final int EACH = 4;
  private static final int COLUMNS = EACH * THREADS;

  public PositionEmbedding(Device device) {
    super(device, "position_embedding");
  }

  /**
   * @param patches F32 accumulators of a product, or values of out's dtype, [rows, width]
   * @param bias dtype of out [width]
   * @param position dtype of out [positions, width]; row r is at position r mod positions
   * @param out BF16, F16 or F32 [rows, width]
   */
  public void launch(Stream stream, DeviceBuffer patches, DeviceBuffer bias, DeviceBuffer position, DeviceBuffer out, int rows, int width,
      int positions) {
    require(rows >= 0, "rows", rows);
    require(width > 0, "width", width);
    require(positions > 0, "positions", positions);
    checkFloat("out", out);
    checkFloat("patches", patches);
    boolean accumulators = patches.dtype() == DType.F32;
    check("patches", patches, accumulators ? DType.F32 : out.dtype(), (long) rows * width);
    check("bias", bias, out.dtype(), width);
    check("position", position, out.dtype(), (long) positions * width);
    check("out", out, out.dtype(), (long) rows * width);
    checkPieces("patches", patches, width, EACH);
    checkPieces("bias", bias, width, EACH);
    checkPieces("position", position, width, EACH);
    checkPieces("out", out, width, EACH);
    stream.launch(instance(patches, out.dtype()), rows, blocks(width, COLUMNS), 1, THREADS, 0)
        .ptr(patches).ptr(bias).ptr(position).ptr(out).i32(rows).i32(width).i32(positions).go();
  }
}
