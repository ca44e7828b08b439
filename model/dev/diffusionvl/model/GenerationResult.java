// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.model;

import dev.diffusionvl.model.constraint.Constraint;
import dev.diffusionvl.model.constraint.RecordShape;
import java.util.List;

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
 * @param logProbabilities of each of {@code tokenIds} the natural logarithm of its probability when it was committed, where the answer is
 *     constrained among the legal tokens; NaN where nothing was written
 * @param choices how likely each choice is; none where the answer was not found by comparing choices
 */
public record GenerationResult(
    String text,
    int[] tokenIds,
    String finishReason,
    int promptTokens,
    int imageTokens,
    int generatedTokens,
    Counts counts,
    Timings timings,
    float[] logProbabilities,
    List<Choice> choices) {

  /**
   * A choice, as the model sees it.
   *
   * @param logProbability natural logarithm of the probability of its tokens and end of text, one after the other
   * @param probability among the choices: those of all are 1 together
   */
  public record Choice(String text, double logProbability, double probability) {}

  /**
   * The answer as a record, where it was constrained to one ({@link Constraint#of}).
   *
   * @throws IllegalStateException if the answer is not finished
   * @throws IllegalArgumentException if it is not the JSON of such a record, naming the place
   */
  public <R extends Record> R as(Class<R> type) {
    if (!finishReason.equals("eos")) {
      throw new IllegalStateException("the answer is not finished (" + finishReason + "): " + text);
    }
    return RecordShape.read(text, type);
  }

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
   * @param rows of all passes: what a pass costs where there are many
   */
  public record Counts(int blocks, int prefill, int denoise, int store, int steps, int commits, long rows) {
    /** Of a generation that ran no pass. */
    static final Counts NONE = new Counts(0, 0, 0, 0, 0, 0, 0);

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
  public record Timings(double load, double vision, double prefill, double decode) {
    /** Without loading: from the images to the last token. */
    public double answer() {
      return vision + prefill + decode;
    }
  }

  /** Generated tokens per second of decoding; prefill and vision are not counted. */
  public double tokensPerSecond() {
    return timings.decode() > 0 ? 1000 * generatedTokens / timings.decode() : 0;
  }
}
