// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.bench;

import dev.diffusionvl.loader.TextConfig;
import dev.diffusionvl.model.KvChoice;
import dev.diffusionvl.runtime.DType;
import dev.diffusionvl.runtime.op.WeightForm;

/**
 * What a forward cannot avoid to read.
 *
 * @param weights bytes of the language model's
 * @param cache bytes of keys and values
 */
record ForwardCost(long weights, long cache) {
  /**
   * @param form of the layers' weights; the head's are of the activations' type
   * @param kv how keys and values are kept
   * @param context rows of the cache, of all sequences together
   */
  static ForwardCost of(TextConfig c, DType activations, WeightForm form, KvChoice kv, int context, int rows) {
    int elementBytes = activations.bytes();
    long layer = 2L * c.hiddenSize() * c.heads() * c.headDim() + 2L * c.hiddenSize() * c.kvHeads() * c.headDim()
        + 3L * c.hiddenSize() * c.intermediateSize();
    long head = (long) c.vocabSize() * c.hiddenSize();
    long weights = elementBytes * head + switch (form) {
      case DENSE -> elementBytes * c.layers() * layer;
      case FP8, INT4 -> c.layers() * layer / Byte.SIZE * form.bits(); // scales come on top, a few per cent
    };
    long cache = 2L * kv.rowBytes(c, activations) * c.layers() * c.kvHeads() * (context + rows);
    return new ForwardCost(weights, cache);
  }

  /** All that is read. */
  long bytes() {
    return weights + cache;
  }
}
