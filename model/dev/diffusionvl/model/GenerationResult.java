// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.model;

/**
 * What a generation returned: what {@code dvl generate --json} prints.
 *
 * @param text decoded up to the first EOS, special tokens skipped
 * @param tokenIds exactly genLength ids; mask ids where nothing was written
 * @param finishReason "eos" when an EOS is among them, "cancelled" when the listener ended it before, else "length"
 * @param promptTokens embeddings of the prompt, images included
 * @param imageTokens embeddings that came from images
 * @param generatedTokens ids before the first EOS, when cancelled of finished blocks
 * @param counts blocks and forward passes
 * @param timings wall time in milliseconds
 */
public record GenerationResult(
    String text,
    int[] tokenIds,
    String finishReason,
    int promptTokens,
    int imageTokens,
    int generatedTokens,
    Counts counts,
    Timings timings) {

  /**
   * Passes through the language model. Each counts once, by what it gave: a pass that stored the prompt or a finished block on the way to
   * logits is a denoising pass.
   *
   * @param blocks blocks decoded, a partly filled first one included
   * @param prefill passes that only stored the prompt's whole blocks
   * @param denoise passes that gave logits
   * @param store passes that only stored a finished block
   * @param steps denoising steps taken; more than {@code denoise} where drafts were right
   * @param commits positions filled by them
   */
  public record Counts(int blocks, int prefill, int denoise, int store, int steps, int commits) {
    public int forwards() {
      return prefill + denoise + store;
    }

    /** Positions filled per denoising pass. */
    public double commitsPerForward() {
      return denoise == 0 ? 0 : (double) commits / denoise;
    }
  }

  /**
   * Milliseconds of wall time.
   *
   * @param load of loading the model, once for all its generations
   * @param vision of preparing the prompt and encoding its images
   * @param prefill until the pass that stores the prompt is done, which with fused store is the first denoising pass as well
   * @param decode of writing the answer
   */
  public record Timings(double load, double vision, double prefill, double decode) {}

  /** Generated tokens per second of decoding; prefill and vision are not counted. */
  public double tokensPerSecond() {
    return timings.decode() > 0 ? 1000 * generatedTokens / timings.decode() : 0;
  }
}
