// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.runtime.op;

import dev.diffusionvl.runtime.DeviceBuffer;

/**
 * What a pass predicts, one element per row.
 *
 * @param token I32: the chosen id
 * @param probability F32: its confidence; NaN when the row's logits hold a NaN or nothing finite
 * @param rowMax F32: the largest logit; null where only token and probability are used
 * @param rowSumExp F32: Σ exp(logit − rowMax); null with rowMax
 */
public record Predictions(DeviceBuffer token, DeviceBuffer probability, DeviceBuffer rowMax, DeviceBuffer rowSumExp) {
  /** Token and probability alone, as {@link Sample} writes them and {@link Remask} reads them. */
  public Predictions(DeviceBuffer token, DeviceBuffer probability) {
    this(token, probability, null, null);
  }

  /** The same from row {@code first} on. */
  public Predictions rowsFrom(int first) {
    return first == 0 ? this : new Predictions(token.rowsFrom(first), probability.rowsFrom(first),
        rowMax == null ? null : rowMax.rowsFrom(first), rowSumExp == null ? null : rowSumExp.rowsFrom(first));
  }
}
