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
}
