// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.eval;

import dev.diffusionvl.model.GenerationResult;

/**
 * A question and what a model answered.
 *
 * @param score 1 for a right answer, 0 for a wrong one
 * @param firstMillis of wall time, until some text was final
 * @param millis of wall time
 */
public record Asked(Question question, GenerationResult result, double score, double firstMillis, double millis) {
  /** The answer, decoded up to the end-of-text token. */
  public String text() {
    return result.text();
  }

  /** Passes through the language model. */
  public int forwards() {
    return result.counts().forwards();
  }
}
