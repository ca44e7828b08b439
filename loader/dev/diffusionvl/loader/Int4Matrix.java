// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.loader;

/**
 * Four bits per weight, whatever the packing: weight [row, column] = (code − zero) · scale, zero and scale of the column's group.
 *
 * @param group which group an input belongs to, [in]
 * @param codes by row and column, 0 to 15
 * @param zeros by row and group, 0 to 16
 * @param scales by row and group, finite
 * @param symmetric every zero is 8
 */
record Int4Matrix(int out, int in, int[] group, Ints codes, Ints zeros, Floats scales, boolean symmetric) implements QuantizedMatrix {
  /** Whole numbers of two indices. */
  @FunctionalInterface
  interface Ints {
    int at(int row, int column);
  }

  /** Numbers of two indices. */
  @FunctionalInterface
  interface Floats {
    float at(int row, int column);
  }

  @Override
  public int bits() {
    return 4;
  }

  @Override
  public int groupColumns() {
    int columns = 1;
    while (columns < in && group[columns] == group[0]) {
      columns++;
    }
    for (int column = 0; column < in; column++) {
      if (group[column] != column / columns) {
        return 0;
      }
    }
    return columns;
  }

  @Override
  public void codes(int row, byte[] target) {
    for (int column = 0; column < in; column++) {
      target[column] = (byte) codes.at(row, column);
    }
  }

  @Override
  public int zero(int row, int group) {
    return zeros.at(row, group);
  }

  @Override
  public float mostNumber(int row, int group) {
    return Math.max(zero(row, group), 15 - zero(row, group));
  }

  @Override
  public float scale(int row, int group) {
    return scales.at(row, group);
  }

  @Override
  public void decodeRow(int row, float[] target) {
    for (int column = 0; column < in; column++) {
      int g = group[column];
      target[column] = (codes.at(row, column) - zeros.at(row, g)) * scales.at(row, g);
    }
  }
}
