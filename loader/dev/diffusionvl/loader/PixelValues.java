// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.loader;

/**
 * An image as the vision tower takes it.
 *
 * @param values [gridHeight * gridWidth, channels * temporalPatch * patch * patch]; the patches of a merge unit are
 *     neighbouring rows
 * @param gridHeight patches from top to bottom, a multiple of the merge size
 * @param gridWidth patches from left to right, a multiple of the merge size
 */
public record PixelValues(float[] values, int gridHeight, int gridWidth) {
  /**
   * Embeddings that the tower makes of it.
   *
   * @param merge patches along a side of a merge unit
   */
  public int rows(int merge) {
    return gridHeight / merge * (gridWidth / merge);
  }
}
