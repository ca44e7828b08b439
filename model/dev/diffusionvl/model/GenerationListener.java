// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.model;

import java.util.List;

/**
 * Hears what a generation does while it runs, and can end it. Every method is called on the generating thread and has an empty
 * default; what a listener throws ends the generation and reaches the caller. A listener shared by several sessions is called by
 * several threads.
 *
 * <p>Text comes in two kinds: {@link #onText} gets what is final, block by block, to append and never to take back; {@link #onPreview}
 * gets the block that is being denoised, to show and replace with each step.
 *
 * {@snippet class=dev.diffusionvl.model.ApiExamplesTest region=listener}
 */
public interface GenerationListener {
  /** A listener that ignores everything. */
  GenerationListener NONE = new GenerationListener() {
    @Override
    public boolean isLive() {
      return false;
    }
  };

  /** One position filled by a denoising step: absolute position, token id, confidence. */
  record Commit(int position, int token, float confidence) {}

  /** What a generation is busy with, in this order. */
  enum Phase {
    /** Encoding images; counted in images. */
    VISION,
    /** Reading the prompt's whole blocks, in one pass or chunk by chunk; counted in embeddings. */
    PREFILL,
    /** Writing; counted in tokens of {@code genLength}, so an end-of-text token ends it early. */
    DENOISING
  }

  /**
   * How far a generation is.
   *
   * @param done of {@code total}; never less than in the call before within a phase
   */
  record Progress(Phase phase, int done, int total) {}

  /** An image was encoded, the prompt was read, or a denoising step committed tokens. A phase without work is left out. */
  default void onProgress(Progress progress) {}

  /**
   * A denoising step committed tokens.
   *
   * @param block absolute block number, ⌊position / B⌋
   * @param step step within the block, from 0
   */
  default void onStep(int block, int step, List<Commit> committed) {}

  /** The block being denoised as it stands after a step that committed tokens; follows {@link #onStep}. */
  default void onPreview(BlockPreview preview) {}

  /** Text that is final: complete characters of finished blocks, up to the end-of-text token. */
  default void onText(String text) {}

  /**
   * Whether steps are to be reported as they happen. Where not, {@link #onStep}, {@link #onPreview} and the progress of denoising come
   * block by block, all the same calls in the same order, and a static schedule need not wait for the device within a block. Asked once per
   * generation.
   */
  default boolean isLive() {
    return true;
  }

  /**
   * Whether to end the generation; asked before each image and each forward pass. Interrupting the generating thread does the same, and
   * leaves it interrupted. From then on nothing is written any more, and
   * the result holds the finished blocks, with the finish reason {@code cancelled}. To cancel from another thread return the value of a
   * volatile field or an AtomicBoolean.
   */
  default boolean isCancelled() {
    return false;
  }
}
