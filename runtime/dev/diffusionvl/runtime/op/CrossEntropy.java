// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.runtime.op;

import dev.diffusionvl.runtime.DType;
import dev.diffusionvl.runtime.Device;
import dev.diffusionvl.runtime.DeviceBuffer;
import dev.diffusionvl.runtime.Stream;

/** Weighted cross-entropy of rows of logits, and its gradient in their place. */
public final class CrossEntropy extends Op {
  private static final int THREADS = 512;

  public CrossEntropy(Device device) {
    super(device, "cross_entropy", TRAINED);
  }

  /**
   * @param logits BF16 or F32 [rows, vocab]; becomes weight · (softmax − onehot)
   * @param label I32 [rows], each within the vocabulary
   * @param weight F32 [rows]
   * @param loss F32 [rows]: weight · (log Σ exp(logits) − logits[label])
   */
  public void launch(Stream stream, DeviceBuffer logits, DeviceBuffer label, DeviceBuffer weight, DeviceBuffer loss, int rows, int vocab) {
    require(rows >= 0, "rows", rows);
    require(vocab > 0, "vocab", vocab);
    checkFloat("logits", logits);
    check("logits", logits, logits.dtype(), times(rows, vocab));
    check("label", label, DType.I32, rows);
    check("weight", weight, DType.F32, rows);
    check("loss", loss, DType.F32, rows);
    stream.launch(instance(logits.dtype()), rows, 1, 1, THREADS, 0)
        .ptr(logits).ptr(label).ptr(weight).ptr(loss).i32(vocab).go();
  }
}
