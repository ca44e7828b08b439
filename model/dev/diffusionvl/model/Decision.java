// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.model;

import dev.diffusionvl.runtime.DeviceBuffer;
import dev.diffusionvl.runtime.Stream;
import dev.diffusionvl.runtime.op.Kernels;
import dev.diffusionvl.runtime.op.Remask;
import dev.diffusionvl.runtime.op.Sample;

/**
 * The decision after a pass (docs/model.md, "Block-diffusion generation"): a token and its confidence for every row of logits, then the
 * commits of the most confident.
 *
 * @param excluded id that is never chosen, or −1
 * @param sampling how tokens are drawn; temperature 0: they are not
 * @param seed of the draws
 */
record Decision(Remask.Rule rule, int excluded, Sample.Rule sampling, long seed) {

  static Decision of(GenerationOptions options, int maskId, boolean originalConfidence) {
    boolean dynamic = options.remasking() == GenerationOptions.Remasking.LOW_CONFIDENCE_DYNAMIC;
    return new Decision(new Remask.Rule(dynamic, options.confidenceThreshold(), maskId), options.compat() ? -1 : maskId,
        new Sample.Rule(options.temperature(), options.topK(), options.topP(), originalConfidence), options.seed());
  }

  /** Tokens are drawn, not the most likely taken. */
  boolean draws() {
    return sampling.temperature() > 0;
  }

  /**
   * Queues the decision. Steps and the number of the pass, which the draws depend on, are counted on the device.
   *
   * @param transformer has just run a pass whose scored rows are variants · rows
   * @param numbers to draw with
   * @param drafts new drafts to make
   */
  void launch(Kernels kernels, Stream stream, Transformer transformer, int vocab, Sample.Numbers numbers, BlockState state,
      DeviceBuffer quota, int variants, int drafts) {
    int rows = variants * state.rows();
    if (draws()) {
      transformer.computeLogits(rows);
      kernels.sample.launch(stream, transformer.logits(), state.predictions(), rows, vocab, excluded, sampling, numbers);
    } else {
      transformer.predict(rows, excluded, state.predictions());
    }
    kernels.remask.launch(stream, state.predictions(), state.block(), quota, state.rows(), variants, drafts, rule);
  }
}
