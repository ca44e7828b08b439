// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.model;

import java.util.List;

/**
 * How a token is chosen from the logits of its position (docs/model.md, "Sampling"). Immutable. A value out of range is an
 * IllegalArgumentException that names the field as the command line does.
 *
 * @param temperature 0 takes the most likely token; otherwise tokens are sampled
 * @param topK keep the k most likely ids (0: off), only with temperature
 * @param topP nucleus mass (1: off), only with temperature
 * @param seed of the counter generator, only with temperature
 * @param uniforms numbers in [0,1) to sample with instead: a row for each pass that gives logits, counted over the generation, of as many
 *     numbers as a block has rows; or null
 */
public record Sampling(float temperature, int topK, float topP, long seed, List<double[]> uniforms) {
  /** The most likely token. */
  public static final Sampling GREEDY = new Sampling(0, 0, 1, 0, null);

  /** Logits are divided by the temperature; by less than this they might be infinite, as if the weights were broken. */
  private static final float MIN_TEMPERATURE = 1e-6f;

  public Sampling {
    Ranges.require(temperature == 0 || temperature >= MIN_TEMPERATURE && temperature < Float.POSITIVE_INFINITY, "temperature",
        temperature, "0 (the most likely token), or " + MIN_TEMPERATURE + " and more");
    Ranges.require(topK >= 0, "top-k", topK, "0 or more");
    Ranges.require(topP > 0 && topP <= 1, "top-p", topP, "above 0 and at most 1");
  }

  /** Tokens are drawn; otherwise the most likely one is taken. */
  public boolean drawn() {
    return temperature > 0;
  }
}
