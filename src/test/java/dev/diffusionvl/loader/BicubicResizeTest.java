// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.loader;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;

import java.io.IOException;
import java.nio.file.Path;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class BicubicResizeTest {
  private static final Path VECTORS = Path.of("src/test/resources/pillow/resize");

  @ParameterizedTest
  @CsvSource({
    "20, 15", "61, 47", "90, 70", "61, 10", "7, 47", "1, 1", "28, 84", "122, 1", "60, 46", "62, 48"
  })
  void everyByteEqualsPillow(int width, int height) throws IOException {
    RgbImage resized = BicubicResize.resize(Ppm.read(VECTORS.resolve("source.ppm")), width, height);
    RgbImage expected = Ppm.read(VECTORS.resolve(width + "x" + height + ".ppm"));
    assertEquals(expected.width(), resized.width());
    assertEquals(expected.height(), resized.height());
    assertArrayEquals(expected.rgb(), resized.rgb());
  }
}
