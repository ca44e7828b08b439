// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.quantize;

import java.util.HashMap;
import java.util.Map;

/**
 * Factors of a model's inputs and outputs. Together they cancel: the model computes what it computed before.
 *
 * @param columns by layer: what its weights are multiplied by, one factor per input
 * @param divisors by layer: what its weights and biases are divided by, one per output
 * @param vectors by name of a tensor: its new values
 * @param exponents by layer: what {@link ScaleSearch} chose
 */
record Scaling(Map<String, float[]> columns, Map<String, float[]> divisors, Map<String, float[]> vectors, Map<String, Double> exponents) {
  /** Nothing is scaled. */
  Scaling() {
    this(new HashMap<>(), new HashMap<>(), new HashMap<>(), new HashMap<>());
  }
}
