// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.model;

import dev.diffusionvl.runtime.op.KeyValues;
import dev.diffusionvl.runtime.DeviceBuffer;
import dev.diffusionvl.runtime.op.Predictions;
import dev.diffusionvl.runtime.op.Rope;
import dev.diffusionvl.runtime.op.Segments;

/**
 * What a layer does beside attention, and what follows the last one. Two implementations with the same rounding points: products by
 * cuBLAS with elementwise kernels between them ({@link PlainLayers}), and our own products with everything else fused to them
 * ({@link FusedLayers}). A pass uses one of them from start to end.
 */
interface LayerOps {
  /** Something else than {@link Transformer#embed} has filled the residual stream's first {@code rows} rows. */
  void begin(int rows);

  /** Norm, QKV product, bias, rotation of all rows of the segments: queries are left in the activations, keys and values in the cache. */
  void storeKeysAndValues(int layer, Segments segments, KeyValues kv, Rope rope);

  /** Output projection of the attention output and MLP, both added to the residual stream; {@code rows} rows from {@code first} on. */
  void transform(int layer, int first, int rows);

  /** Final norm and product with the head: logits of {@code rows} rows from {@code first} on. */
  void computeLogits(int first, int rows);

  /** The most likely token of {@code rows} rows from {@code first} on; the logits themselves may not exist afterwards. */
  void predict(int first, int rows, int excluded, DeviceBuffer legal, Predictions predictions);
}
