// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.loader;

/** A matrix [out, in] of a quantised linear layer, which reads from the mapped file; valid until that is closed. */
public sealed interface QuantizedMatrix permits Int4Matrix, Fp8Matrix {
  /** Output features. */
  int out();

  /** Input features. */
  int in();

  /**
   * Decodes one row: in f32, with one rounding at most.
   *
   * @param target [in], gets the weights of output {@code row}
   * @throws BadInputException if a code is no number
   */
  void decodeRow(int row, float[] target);

  /** Bits of a code. */
  int bits();

  /** Columns that have a scale in common, all of them at most; 0: the columns of a group do not lie side by side. */
  int groupColumns();

  /** Whether the zero point is the same everywhere: {@link #zero}(0, 0). */
  boolean symmetric();

  /**
   * Copies the codes of one row, {@link #bits} in the low places of a byte each.
   *
   * @param target [in]
   * @throws BadInputException if a code is no number
   */
  void codes(int row, byte[] target);

  /** The zero point of a row and a group, 0 where there is none. */
  int zero(int row, int group);

  /** The largest magnitude that a code less its zero point can have. */
  float mostNumber(int row, int group);

  /** The scale of a row and a group. */
  float scale(int row, int group);
}
