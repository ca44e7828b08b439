// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.runtime.op;

import dev.diffusionvl.runtime.DeviceBuffer;

/**
 * Rows of the residual stream with the sums of squares that the next RMSNorm needs, where the norm is fused to a product.
 *
 * @param rows BF16, F16 or F32 [rows, width], 16-byte aligned
 * @param squares F32 [rows, {@link RowSquares#groups}(width)]
 */
public record Residual(DeviceBuffer rows, DeviceBuffer squares) {
  /** The same from row {@code first} on. */
  public Residual rowsFrom(int first) {
    return first == 0 ? this : new Residual(rows.rowsFrom(first), squares.rowsFrom(first));
  }
}
