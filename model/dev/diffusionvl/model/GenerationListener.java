// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.model;


import java.util.List;

/** Hears what a generation does while it runs, on the generating thread. Every method has an empty default. */
public interface GenerationListener {
  /** A listener that ignores everything. */
  GenerationListener NONE = new GenerationListener() {};

  /** One position filled by a denoising step: absolute position, token id, confidence. */
  record Commit(int position, int token, float confidence) {}

  /**
   * A denoising step committed tokens.
   *
   * @param block absolute block number, ⌊position / B⌋
   * @param step step within the block, from 0
   */
  default void onStep(int block, int step, List<Commit> committed) {}

  /** Text that is final: complete characters of finished blocks, up to the end-of-text token. */
  default void onText(String text) {}
}
