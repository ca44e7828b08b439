// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.loader;

import java.util.List;

/**
 * A matrix [out, in] of a linear layer in fewer bits, to be written as compressed-tensors has it (docs/model.md, "Weight formats"). Scales
 * are in memory; codes are made when they are asked for, from weights that are read again then. Immutable; safe for several threads where
 * its {@link Rows} are.
 */
public sealed interface EncodedMatrix permits EncodedFp8, EncodedInt4 {
  /** The weights that are encoded. */
  @FunctionalInterface
  interface Rows {
    /**
     * @param row of the matrix, from 0
     * @param target [in], gets finite numbers, the same ones each time
     */
    void read(int row, float[] target);
  }

  /**
   * E4M3 numbers with a scale per output, rounded to nearest: the largest weight of a row becomes the largest number.
   *
   * @param layer canonical name, without {@code .weight}
   */
  static EncodedMatrix fp8(String layer, int out, int in, Rows rows) {
    return EncodedFp8.of(layer, out, in, rows);
  }

  /**
   * Four bits, symmetric, with a scale per output and group of inputs. Of some scales that leave out the largest weights by more and more,
   * each group takes the one with the least Σ importance · (weight − decoded)².
   *
   * @param layer canonical name, without {@code .weight}
   * @param group inputs of a group; in must be a multiple of it, and it of 8
   * @param importance [in], not negative; null: all are equal
   */
  static EncodedMatrix int4(String layer, int out, int in, int group, Rows rows, float[] importance) {
    return EncodedInt4.of(layer, out, in, group, rows, importance);
  }

  /** The tensors that take the place of the weights, by canonical names. */
  List<SafetensorsWriter.Tensor> tensors();

  /**
   * What a reader will make of a row.
   *
   * @param weights [in], what {@link Rows} gave for it
   * @param decoded [in], gets the decoded numbers
   */
  void decode(int row, float[] weights, float[] decoded);
}
