// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.runtime.op;

import dev.diffusionvl.runtime.DType;
import dev.diffusionvl.runtime.Device;
import dev.diffusionvl.runtime.DeviceBuffer;
import dev.diffusionvl.runtime.Stream;

/** Draws tokens with temperature, top-k and top-p by inverse CDF in vocabulary order (docs/model.md, "Sampling"). */
public final class Sample extends Op {
  private static final int THREADS = 256;

  /**
   * What is drawn from.
   *
   * @param topK 0: off
   * @param topP 1: off
   * @param originalConfidence probability under the unmodified softmax (SigLIP family) instead of the filtered one
   */
  public record Rule(float temperature, int topK, float topP, boolean originalConfidence) {}

  /**
   * The numbers that are drawn with.
   *
   * @param uniforms F64 [rows] in [0, 1), or null: a counter generator over (seed, forward, row)
   * @param forward number of the forward pass
   * @param forwards I32 [1], counted on the device and added to forward; or null
   */
  public record Numbers(DeviceBuffer uniforms, long seed, int forward, DeviceBuffer forwards) {}

  public Sample(Device device) {
    super(device, "sample");
  }

  /**
   * @param logits BF16 or F32 [rows, vocab]
   * @param to token and probability of each row; the rest is left alone
   * @param excluded an id that counts as −∞, or −1
   */
  public void launch(Stream stream, DeviceBuffer logits, Predictions to, int rows, int vocab, int excluded, Rule rule, Numbers numbers) {
    require(rows >= 0, "rows", rows);
    require(vocab > 0, "vocab", vocab);
    requireExcluded(excluded, vocab);
    require(rule.topK() >= 0, "top-k", rule.topK());
    require(rule.temperature() > 0 && rule.temperature() < Float.POSITIVE_INFINITY, "temperature", rule.temperature());
    require(rule.topP() > 0, "top-p", rule.topP());
    checkFloat("logits", logits);
    check("logits", logits, logits.dtype(), (long) rows * vocab);
    checkOptional("uniforms", numbers.uniforms(), DType.F64, rows);
    check("token", to.token(), DType.I32, rows);
    check("probability", to.probability(), DType.F32, rows);
    checkOptional("forwards", numbers.forwards(), DType.I32, 1);
    stream.launch(instance(logits.dtype()), rows, 1, 1, THREADS, 0)
        .ptr(logits).ptrOrNull(numbers.uniforms()).ptr(to.token()).ptr(to.probability()).i32(vocab).i32(excluded)
        .f32(rule.temperature()).i32(rule.topK()).f32(rule.topP()).i32(rule.originalConfidence() ? 1 : 0)
        .u64(numbers.seed()).i32(numbers.forward()).ptrOrNull(numbers.forwards()).go();
  }
}
