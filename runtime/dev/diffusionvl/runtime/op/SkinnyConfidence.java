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

  /** {@link #launch(Stream, SkinnyWorkspace, Residual, NormedLinear, DeviceBuffer, Predictions, int, int, DeviceBuffer)}, all legal. */
  public void launch(Stream stream, SkinnyWorkspace workspace, Residual h, NormedLinear head, DeviceBuffer parts, Predictions to,
      int rows, int excluded) {
    launch(stream, workspace, h, head, parts, to, rows, excluded, null);
  }

  /**
   * The same bits as {@link RmsNorm}, {@link SkinnyGemm} rounded to the dtype of h, and {@link Confidence}.
   *
   * @param h before the norm
   * @param head [vocab, in] without a bias
   * @param parts F32 [{@link #parts}(rows, vocab)], 16-byte aligned: scratch
   * @param to as of {@link Confidence}
   * @param excluded an id that counts as −∞, or −1
   * @param legal as of {@link Confidence}
   */
  public void launch(Stream stream, SkinnyWorkspace workspace, Residual h, NormedLinear head, DeviceBuffer parts, Predictions to,
      int rows, int excluded, DeviceBuffer legal) {
    int vocab = head.out();
    requireExcluded(excluded, vocab);
    checkWithoutBias(head);
    checkNormed(workspace, h, head, rows);
    check("parts", parts, DType.F32, parts(rows, vocab));
    checkAligned("parts", parts);
    checkPredictions(to, rows);
    checkLegal(legal, rows, vocab);
    int words = Confidence.legalWords(vocab);
    DType dtype = h.rows().dtype();
    SkinnySplit split = SkinnySplit.of(vocab, head.in(), false);
    inPieces(dtype, rows, (first, count) -> begin(stream, workspace, h, head, split, first, count)
        .ptr(parts).ptr(to.token(), first).ptr(to.probability(), first).ptr(to.rowMax(), first).ptr(to.rowSumExp(), first)
        .ptr(workspace.partials()).ptr(workspace.arrived()).i32(count).i32(vocab).i32(head.in()).i32(excluded).i32(split.span())
        .ptrOrNull(legal == null ? null : legal.slice((long) first * words, (long) count * words)).go());
  }
}
