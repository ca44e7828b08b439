// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.runtime.op;

import dev.diffusionvl.runtime.Device;
import dev.diffusionvl.runtime.DeviceBuffer;
import dev.diffusionvl.runtime.Stream;

/** Most likely token and its softmax probability in one pass over the vocabulary (docs/model.md, "Sampling"). */
public final class Confidence extends Op {
  private static final int THREADS = 256;

  /** 32-bit words of a row's set of tokens. */
  public static int legalWords(int vocab) {
    return blocks(vocab, 32);
  }

  public Confidence(Device device) {
    super(device, "confidence");
  }

  /** {@link #launch(Stream, DeviceBuffer, Predictions, int, int, int, DeviceBuffer)} where all tokens are legal. */
  public void launch(Stream stream, DeviceBuffer logits, Predictions to, int rows, int vocab, int excluded) {
    launch(stream, logits, to, rows, vocab, excluded, null);
  }

  /**
   * @param logits BF16, F16 or F32 [rows, vocab]
   * @param to the most likely token of each row (lowest id on ties) and its probability, 1 / rowSumExp
   * @param excluded an id that counts as −∞, or −1
   * @param legal I32 [rows, {@link #legalWords}(vocab)]: a bit per token, bit t mod 32 of word t / 32; tokens without it count as −∞; or
   *     null: all are legal
   */
  public void launch(Stream stream, DeviceBuffer logits, Predictions to, int rows, int vocab, int excluded, DeviceBuffer legal) {
    require(rows >= 0, "rows", rows);
    require(vocab > 0, "vocab", vocab);
    requireExcluded(excluded, vocab);
    checkFloat("logits", logits);
    check("logits", logits, logits.dtype(), (long) rows * vocab);
    checkPredictions(to, rows);
    checkLegal(legal, rows, vocab);
    stream.launch(instance(logits.dtype()), rows, 1, 1, THREADS, 0)
        .ptr(logits).ptr(to.token()).ptr(to.probability()).ptr(to.rowMax()).ptr(to.rowSumExp()).i32(vocab).i32(excluded)
        .ptrOrNull(legal).go();
  }
}
