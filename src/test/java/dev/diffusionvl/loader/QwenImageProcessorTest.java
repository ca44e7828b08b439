// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.loader;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.diffusionvl.model.GoldenCase;
import java.io.IOException;
import java.nio.file.Path;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.MethodSource;

class QwenImageProcessorTest {
  private static final float[] MEAN = {0.48145466f, 0.4578275f, 0.40821073f};
  private static final float[] STD = {0.26862954f, 0.26130258f, 0.27577711f};
  /** With the limits of the tiny model. */
  private static final QwenImageProcessor TINY = new QwenImageProcessor(14, 2, 2, 12544, 50176, MEAN, STD, ImageFraming.AS_IS);

  static List<GoldenCase> goldenCasesWithImages() {
    return GoldenCase.all().stream().filter(golden -> !golden.images().isEmpty()).toList();
  }

  /** The checks of docs/model.md, "Image preprocessing: Qwen", computed with the reference. */
  @ParameterizedTest
  @CsvSource({
    "1365, 2048, 392, 616", "480, 640, 420, 588", "100, 100, 392, 392", "384, 384, 392, 392", "512, 512, 504, 504",
    "1080, 1920, 364, 672", "2000, 500, 1008, 252", "448, 448, 448, 448"
  })
  void smartResizeEqualsTheReference(int height, int width, int expectedHeight, int expectedWidth) {
    assertArrayEquals(new int[] {expectedHeight, expectedWidth},
        QwenImageProcessor.smartResize(height, width, 28, 147456, 262144));
  }

  @Test
  void halvesRoundToEven() {
    // 42/28 = 1.5, 70/28 = 2.5, 98/28 = 3.5
    assertArrayEquals(new int[] {56, 56}, QwenImageProcessor.smartResize(42, 70, 28, 1, 1_000_000));
    assertArrayEquals(new int[] {112, 56}, QwenImageProcessor.smartResize(98, 42, 28, 1, 1_000_000));
  }

  @Test
  void ratiosUpTo200AreAccepted() {
    assertEquals(28, QwenImageProcessor.smartResize(10, 2000, 28, 147456, 262144)[0]);
    assertThrows(BadInputException.class, () -> QwenImageProcessor.smartResize(10, 2001, 28, 147456, 262144));
    RgbImage line = new RgbImage(1, 201, new byte[603]);
    BadInputException e = assertThrows(BadInputException.class, () -> TINY.process(line, "line.png"));
    assertTrue(e.getMessage().startsWith("line.png: size: 1 x 201"), e.getMessage());
  }

  @Test
  void onePixelBecomesAnImageOfThatColour() {
    PixelValues pixels = TINY.process(new RgbImage(1, 1, new byte[] {(byte) 255, 0, 51}), "dot");
    assertEquals(8, pixels.gridHeight());
    assertEquals(8, pixels.gridWidth());
    assertEquals(64 * 1176, pixels.values().length);
    for (int i = 0; i < pixels.values().length; i++) {
      int channel = i % 1176 / 392;
      float value = new float[] {1, 0, 0.2f}[channel];
      assertEquals((value - MEAN[channel]) / STD[channel], pixels.values()[i], 1e-6f);
    }
  }

  @ParameterizedTest
  @MethodSource("goldenCasesWithImages")
  void pixelValuesEqualTheReference(GoldenCase golden) throws IOException {
    float[] expected = golden.tensor("pixel_values");
    float[] grids = golden.tensor("image_grid_thw");
    int at = 0;
    List<Path> images = golden.images();
    for (int i = 0; i < images.size(); i++) {
      PixelValues pixels = TINY.process(ImageFiles.read(images.get(i)), images.get(i).toString());
      assertEquals(grids[3 * i + 1], pixels.gridHeight());
      assertEquals(grids[3 * i + 2], pixels.gridWidth());
      for (float value : pixels.values()) {
        assertEquals(expected[at++], value, 1e-6f);
      }
    }
    assertEquals(expected.length, at);
  }
}
