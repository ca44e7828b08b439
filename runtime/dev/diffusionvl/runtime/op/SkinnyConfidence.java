// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.runtime.op;

import dev.diffusionvl.runtime.DType;
import dev.diffusionvl.runtime.Device;
import dev.diffusionvl.runtime.DeviceBuffer;
import dev.diffusionvl.runtime.Stream;

/** Final RMSNorm, product with the head and most likely token by our own kernel for few rows; the logits are never written. */
public final class SkinnyConfidence extends SkinnyOp {
  private static final int PART = 4; // f32 words of struct Best

  public SkinnyConfidence(Device device) {
    super(device, "skinny_confidence");
  }

  /** Elements of the scratch memory. */
  public static long parts(int rows, int vocab) {
    return (long) rows * blocks(vocab, SkinnySplit.TILE) * PART;
  }

  /**
   * The same bits as {@link RmsNorm}, {@link SkinnyGemm} rounded to the dtype of h, and {@link Confidence}.
   *
   * @param h BF16 or F32 [rows, k] before the norm, 16-byte aligned; k a multiple of 8
   * @param squares F32 [rows, {@link RowSquares#groups}(k)]: of h
   * @param norm dtype of h [k]: the norm's weight, 16-byte aligned
   * @param w dtype of h [vocab, k], 16-byte aligned
   * @param parts F32 [{@link #parts}(rows, vocab)], 16-byte aligned: scratch
   * @param token I32 [rows]: argmax, lowest id on ties
   * @param probability F32 [rows]: 1 / rowSumExp; NaN when the row holds a NaN or nothing finite
   * @param rowMax F32 [rows]
   * @param rowSumExp F32 [rows]: Σ exp(l − rowMax)
   * @param excluded an id that counts as −∞, or −1
   */
  public void launch(Stream stream, SkinnyWorkspace workspace, DeviceBuffer h, DeviceBuffer squares, DeviceBuffer norm, float eps,
      DeviceBuffer w, DeviceBuffer parts, DeviceBuffer token, DeviceBuffer probability, DeviceBuffer rowMax, DeviceBuffer rowSumExp,
      int rows, int vocab, int k, int excluded) {
    require(excluded >= -1 && excluded < vocab, "excluded id", excluded);
    checkProduct(workspace, "h", h, w, rows, vocab, k);
    int groups = checkNorm(h, squares, norm, rows, k);
    check("parts", parts, DType.F32, parts(rows, vocab));
    checkAligned("parts", parts);
    check("token", token, DType.I32, rows);
    check("probability", probability, DType.F32, rows);
    check("row max", rowMax, DType.F32, rows);
    check("row sum", rowSumExp, DType.F32, rows);
    SkinnySplit split = SkinnySplit.of(vocab, k, false);
    inPieces(h.dtype(), rows, (first, count) -> begin(stream, workspace, h.dtype(), split, count)
        .ptr(h, (long) first * k).ptr(squares, (long) first * groups).ptr(norm).f32(eps).ptr(w).ptr(parts)
        .ptr(token, first).ptr(probability, first).ptr(rowMax, first).ptr(rowSumExp, first).ptr(workspace.partials())
        .ptr(workspace.arrived()).i32(count).i32(vocab).i32(k).i32(excluded).i32(split.span()).go());
  }
}
