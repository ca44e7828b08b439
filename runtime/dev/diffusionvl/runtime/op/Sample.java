// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.runtime.op;

import dev.diffusionvl.runtime.DType;
import dev.diffusionvl.runtime.Device;
import dev.diffusionvl.runtime.DeviceBuffer;
import dev.diffusionvl.runtime.Stream;

/** Draws tokens with temperature, top-k and top-p by inverse CDF in vocabulary order (docs/model.md, "Sampling"). */
public final class Sample extends Op {
  private static final int THREADS = 256;

  public Sample(Device device) {
    super(device, "sample");
  }

  /**
   * @param logits BF16 or F32 [rows, vocab]
   * @param uniforms F64 [rows] in [0, 1), or null: a counter generator over (seed, forward, row)
   * @param token I32 [rows]
   * @param probability F32 [rows]; NaN when the row holds a NaN or nothing finite
   * @param excluded an id that counts as −∞, or −1
   * @param topK 0: off
   * @param topP 1: off
   * @param originalConfidence probability under the unmodified softmax (SigLIP family) instead of the filtered one
   * @param forward number of the forward pass
   */
  public void launch(Stream stream, DeviceBuffer logits, DeviceBuffer uniforms, DeviceBuffer token, DeviceBuffer probability, int rows,
      int vocab, int excluded, float temperature, int topK, float topP, boolean originalConfidence, long seed, int forward) {
    launch(stream, logits, uniforms, token, probability, rows, vocab, excluded, temperature, topK, topP, originalConfidence, seed, forward,
        null);
  }

  /** As above, with a forward number that is counted on the device: {@code forward} and what {@code forwards}, I32 [1] or null, holds. */
  public void launch(Stream stream, DeviceBuffer logits, DeviceBuffer uniforms, DeviceBuffer token, DeviceBuffer probability, int rows,
      int vocab, int excluded, float temperature, int topK, float topP, boolean originalConfidence, long seed, int forward,
      DeviceBuffer forwards) {
    require(rows >= 0, "rows", rows);
    require(vocab > 0, "vocab", vocab);
    require(excluded >= -1 && excluded < vocab, "excluded id", excluded);
    require(topK >= 0, "top-k", topK);
    require(temperature > 0 && temperature < Float.POSITIVE_INFINITY, "temperature", temperature);
    require(topP > 0, "top-p", topP);
    checkFloat("logits", logits);
    check("logits", logits, logits.dtype(), (long) rows * vocab);
    checkOptional("uniforms", uniforms, DType.F64, rows);
    check("token", token, DType.I32, rows);
    check("probability", probability, DType.F32, rows);
    checkOptional("forwards", forwards, DType.I32, 1);
    stream.launch(kernel(logits.dtype() == DType.BF16 ? "sample_bf16" : "sample_f32"), rows, 1, 1, THREADS, 0)
        .ptr(logits).ptrOrNull(uniforms).ptr(token).ptr(probability).i32(vocab).i32(excluded).f32(temperature).i32(topK).f32(topP)
        .i32(originalConfidence ? 1 : 0).u64(seed).i32(forward).ptrOrNull(forwards).go();
  }
}
