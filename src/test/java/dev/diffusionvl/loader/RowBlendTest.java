// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.loader;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import org.junit.jupiter.api.Test;

class RowBlendTest {
  @Test
  void transposedSumsGoTheOtherWay() {
    RowBlend.Builder rows = new RowBlend.Builder(4);
    rows.copy(2);
    rows.bilinear(0, 1, 1, 2, 0.25, 0.5);
    rows.bilinear(1, 1, 1, 1, 0.5, 0.25); // a corner: four times the same row
    rows.copy(3); // the newline
    RowBlend back = rows.build().transposed(3);
    assertEquals(3, back.rows());
    double[][] dense = new double[3][4];
    for (int i = 0; i < back.index().length; i++) {
      dense[i / RowBlend.TERMS][back.index()[i]] += back.weight()[i];
    }
    assertArrayEquals(new double[][] {{0, 0.375, 0, 0}, {0, 0.5, 1, 0}, {1, 0.125, 0, 0}}, dense);
  }

  @Test
  void aRowInMoreThanFourSumsIsRefused() {
    RowBlend.Builder rows = new RowBlend.Builder(5);
    for (int i = 0; i < 5; i++) {
      rows.copy(1);
    }
    RowBlend blend = rows.build();
    assertEquals(1, blend.transposed(1).rows()); // row 1 is not looked at
    assertThrows(IllegalStateException.class, () -> blend.transposed(2));
  }
}
