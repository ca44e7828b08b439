// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.bench;

import dev.diffusionvl.loader.TextConfig;

/**
 * What a forward cannot avoid to read.
 *
 * @param weights bytes of the language model's
 * @param cache bytes of keys and values
 */
record ForwardCost(long weights, long cache) {
  /** @param context rows of the cache, of all sequences together */
  static ForwardCost of(TextConfig c, int elementBytes, int context, int rows) {
    long layer = 2L * c.hiddenSize() * c.heads() * c.headDim() + 2L * c.hiddenSize() * c.kvHeads() * c.headDim()
        + 3L * c.hiddenSize() * c.intermediateSize();
    long weights = elementBytes * (c.layers() * layer + (long) c.vocabSize() * c.hiddenSize());
    long cache = 2L * elementBytes * c.layers() * c.kvHeads() * c.headDim() * (context + rows);
    return new ForwardCost(weights, cache);
  }

  /** All that is read. */
  long bytes() {
    return weights + cache;
  }
}
