// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.model;

import dev.diffusionvl.runtime.DeviceBuffer;
import dev.diffusionvl.runtime.Stream;
import dev.diffusionvl.runtime.op.Kernels;
import dev.diffusionvl.runtime.op.Remask;

/**
 * The decision after a pass (docs/model.md, "Block-diffusion generation"): a token and its confidence for every row of logits, then the
 * commits of the most confident.
 *
 * @param excluded id that is never chosen, or −1
 * @param originalConfidence of drawn tokens: under the unmodified logits
 */
record Decision(Remask.Rule rule, int excluded, float temperature, int topK, float topP, long seed, boolean originalConfidence) {

  static Decision of(GenerationOptions options, int maskId, boolean originalConfidence) {
    boolean dynamic = options.remasking() == GenerationOptions.Remasking.LOW_CONFIDENCE_DYNAMIC;
    return new Decision(new Remask.Rule(dynamic, options.confidenceThreshold(), maskId), options.compat() ? -1 : maskId,
        options.temperature(), options.topK(), options.topP(), options.seed(), originalConfidence);
  }

  /** Tokens are drawn, not the most likely taken. */
  boolean draws() {
    return temperature > 0;
  }

  /**
   * Queues the decision. Steps and the number of the pass, which the draws depend on, are counted on the device.
   *
   * @param transformer has just run a pass whose scored rows are variants · rows
   * @param uniforms F64 [rows] to draw with, or null
   * @param drafts new drafts to make
   */
  void launch(Kernels kernels, Stream stream, Transformer transformer, int vocab, DeviceBuffer uniforms, BlockState state,
      DeviceBuffer quota,
      int variants, int drafts) {
    int rows = variants * state.rows();
    if (draws()) {
      transformer.computeLogits(rows);
      kernels.sample.launch(stream, transformer.logits(), uniforms, state.token(), state.probability(), rows, vocab, excluded,
          temperature, topK, topP, originalConfidence, seed, 0, state.forwardsBuffer());
    } else {
      transformer.predict(rows, excluded, state.predictions());
    }
    kernels.remask.launch(stream, state.token(), state.probability(), state.idsAndDrafts(), state.stepOfBuffer(),
        state.confidenceBuffer(),
        state.statusBuffer(), quota, state.rows(), variants, drafts, rule);
  }
}
