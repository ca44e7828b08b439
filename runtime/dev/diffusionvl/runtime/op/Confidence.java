// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.runtime.op;

import dev.diffusionvl.runtime.DType;
import dev.diffusionvl.runtime.Device;
import dev.diffusionvl.runtime.DeviceBuffer;
import dev.diffusionvl.runtime.Stream;

/** Most likely token and its softmax probability in one pass over the vocabulary (docs/model.md, "Sampling"). */
public final class Confidence extends Op {
  private static final int THREADS = 256;

  public Confidence(Device device) {
    super(device, "confidence");
  }

  /**
   * @param logits BF16 or F32 [rows, vocab]
   * @param token I32 [rows]: argmax, lowest id on ties
   * @param probability F32 [rows]: 1 / rowSumExp; NaN when the row holds a NaN or nothing finite
   * @param rowMax F32 [rows]
   * @param rowSumExp F32 [rows]: Σ exp(l − rowMax)
   * @param excluded an id that counts as −∞, or −1
   */
  public void launch(Stream stream, DeviceBuffer logits, DeviceBuffer token, DeviceBuffer probability, DeviceBuffer rowMax,
      DeviceBuffer rowSumExp, int rows, int vocab, int excluded) {
    require(rows >= 0, "rows", rows);
    require(vocab > 0, "vocab", vocab);
    require(excluded >= -1 && excluded < vocab, "excluded id", excluded);
    checkFloat("logits", logits);
    check("logits", logits, logits.dtype(), (long) rows * vocab);
    check("token", token, DType.I32, rows);
    check("probability", probability, DType.F32, rows);
    check("row max", rowMax, DType.F32, rows);
    check("row sum", rowSumExp, DType.F32, rows);
    stream.launch(kernel(logits.dtype() == DType.BF16 ? "confidence_bf16" : "confidence_f32"), rows, 1, 1, THREADS, 0)
        .ptr(logits).ptr(token).ptr(probability).ptr(rowMax).ptr(rowSumExp).i32(vocab).i32(excluded).go();
  }
}
