// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.loader;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class ImageGridTest {
  private static RgbImage grey(int width, int height, int value) {
    byte[] rgb = new byte[3 * width * height];
    java.util.Arrays.fill(rgb, (byte) value);
    return new RgbImage(width, height, rgb);
  }

  private static int at(RgbImage image, double x, double y) {
    return image.rgb()[3 * ((int) (y * image.height()) * image.width() + (int) (x * image.width()))] & 0xff;
  }

  /** Each image is where the sentence says. */
  @ParameterizedTest
  @CsvSource({"2,1,2", "3,1,3", "4,2,2", "5,2,3", "6,2,3", "7,3,3", "8,3,3", "9,3,3"})
  void places(int count, int rows, int columns) {
    List<RgbImage> images = new ArrayList<>();
    for (int i = 0; i < count; i++) {
      images.add(grey(40, 30, 20 * (i + 1)));
    }
    ImageGrid grid = ImageGrid.of(images, ImageGrid.DEFAULT_PIXELS);
    assertEquals(rows, grid.rows());
    assertEquals(columns, grid.columns());
    assertEquals(40 * columns, grid.picture().width());
    assertEquals(30 * rows, grid.picture().height());
    for (int i = 0; i < rows * columns; i++) {
      int found = at(grid.picture(), (i % columns + 0.5) / columns, (i / columns + 0.5) / rows);
      assertEquals(i < count ? 20 * (i + 1) : 0, found, "tile " + i);
    }
    String layout = grid.layout();
    assertTrue(layout.contains(count + " images"), layout);
    assertEquals(rows > 1, layout.contains(rows + " rows of " + columns), layout);
  }

  /** Images of other shapes keep them, in the middle of their tiles; none is cut. */
  @Test
  void shapes() {
    RgbImage picture = ImageGrid.of(List.of(grey(100, 20, 200), grey(20, 100, 100)), ImageGrid.DEFAULT_PIXELS).picture();
    assertEquals(200, picture.width());
    assertEquals(100, picture.height());
    assertEquals(200, at(picture, 0.25, 0.5));
    assertEquals(0, at(picture, 0.25, 0.2));
    assertEquals(100, at(picture, 0.75, 0.02));
    assertEquals(0, at(picture, 0.6, 0.5));
  }

  @ParameterizedTest
  @CsvSource({"2,100000", "9,100000", "3,50", "9,1", "4,1000000000"})
  void withinTheLimit(int count, long limit) {
    RgbImage picture = ImageGrid.of(Collections.nCopies(count, grey(1000, 700, 9)), limit).picture();
    long pixels = (long) picture.width() * picture.height();
    assertTrue(pixels <= Math.max(limit, 9), pixels + " pixels");
    assertTrue(limit < 1000 || pixels > 0.9 * Math.min(limit, count * 700_000L), pixels + " pixels");
    RgbImage narrow = ImageGrid.of(List.of(grey(1, 40_000, 9), grey(40_000, 1, 9)), 1 << 20).picture();
    assertTrue((long) narrow.width() * narrow.height() <= 1 << 20);
  }

  @Test
  void oneOrTenAreNoGrid() {
    for (int count : new int[] {0, 1, 10}) {
      List<RgbImage> images = Collections.nCopies(count, grey(2, 2, 1));
      String message = assertThrows(BadInputException.class, () -> ImageGrid.of(images, 100)).getMessage();
      assertEquals("images: a grid has 2 to 9 of them, not " + count, message);
    }
  }
}
