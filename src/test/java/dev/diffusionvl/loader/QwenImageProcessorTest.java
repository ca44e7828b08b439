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

  /** Padding in training: the longer side's square of the mean colour, the image in its middle. */
  @ParameterizedTest
  @CsvSource({"100, 50", "50, 101", "80, 80"})
  void paddedImagesAreSquares(int width, int height) {
    int side = Math.max(width, height);
    byte[] whole = new byte[3 * width * height];
    byte[] square = new byte[3 * side * side];
    for (int i = 0; i < square.length; i++) {
      int y = i / 3 / side - (side - height) / 2;
      int x = i / 3 % side - (side - width) / 2;
      boolean inside = y >= 0 && y < height && x >= 0 && x < width;
      square[i] = (byte) (inside ? 7 * x + 11 * y + i % 3 : new int[] {122, 116, 104}[i % 3]);
      if (inside) {
        whole[3 * (y * width + x) + i % 3] = square[i];
      }
    }
    QwenImageProcessor padding = new QwenImageProcessor(14, 2, 2, 12544, 50176, MEAN, STD, ImageFraming.PAD);
    RgbImage image = new RgbImage(width, height, whole);
    PixelValues expected = TINY.process(new RgbImage(side, side, square), "square");
    PixelValues actual = padding.process(image, "image");
    assertArrayEquals(expected.values(), actual.values());
    assertArrayEquals(new int[] {expected.rows(2)}, padding.rows(List.of(image)));
  }

  @Test
  void paddedImagesHaveALimit() {
    QwenImageProcessor padding = new QwenImageProcessor(14, 2, 2, 12544, 50176, MEAN, STD, ImageFraming.PAD);
    RgbImage strip = new RgbImage(13378, 100, new byte[3 * 13378 * 100]);
    BadInputException e = assertThrows(BadInputException.class, () -> padding.process(strip, "strip"));
    assertTrue(e.getMessage().contains("strip: size: 13378 x 100 pixels; too long and narrow: as a square"), e.getMessage());
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
