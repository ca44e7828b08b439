// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.model;

import dev.diffusionvl.runtime.DType;

/**
 * What a pass has decided for one sequence.
 *
 * @param block as it stands on the device; of a sequence that the device decides
 * @param chosen what all scored rows of the pass predict; of a sequence that decides on the host
 * @param first its first row among them
 * @param logits of the pass that a sequence wanted to know
 * @param dtype of the activations
 */
record Decided(BlockState block, ChosenTokens chosen, int first, WantedLogits logits, DType dtype) {
  /** The token that follows the row. */
  int token(int row) {
    return chosen.token(first + row);
  }

  /** The logarithm of the probability of one of the {@link Sequence#edges}. */
  double logProbability(int edge) {
    return logits.logProbability(first, edge);
  }

  float probability(int row) {
    return chosen.probability(first + row);
  }

  /** Logits hold NaN, which is what a value past the range becomes in the next norm. @param pass which one, for the message */
  NumericalException sawNaN(String pass) {
    return new NumericalException("the model's logits hold NaN (" + pass + "): "
        + (dtype == DType.F16 ? "values beyond float16's 65,504; use --dtype bf16" : "broken weights?"));
  }
}
