// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.loader;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.diffusionvl.loader.AnyresConfig.Resolution;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** Tiles of the released model: 384 pixels, 27 x 27 features, at most about four tiles of them. */
class AnyresLayoutTest {
  private static final SigLipConfig RELEASED =
      SigLipConfig.SO400M.withAnyres(new AnyresConfig(AnyresConfig.upToSixBySix(384), 4));

  @TempDir
  private Path folder;

  /** The checks of docs/model.md, "Image preprocessing: SigLIP": canvas, features kept, features after shrinking, embeddings. */
  @ParameterizedTest
  @CsvSource({
    "384, 384, 384, 384, 27, 27, 27, 27, 1485",
    "640, 480, 768, 768, 40, 54, 40, 54, 2929",
    "1000, 600, 1152, 768, 48, 81, 41, 70, 3640",
    "2048, 1365, 2304, 1536, 108, 162, 44, 66, 3677",
    "1920, 1080, 1920, 1152, 75, 135, 40, 72, 3649",
    "500, 2000, 768, 2304, 162, 40, 108, 26, 3645"
  })
  void checkValuesOfTheReference(int width, int height, int canvasWidth, int canvasHeight, int keptHeight, int keptWidth, int outHeight,
      int outWidth, int rows) {
    AnyresLayout layout = AnyresLayout.of(width, height, RELEASED);
    assertEquals(new Resolution(canvasWidth, canvasHeight), layout.canvas());
    assertEquals(List.of(keptHeight, keptWidth), List.of(layout.height(), layout.width()));
    assertEquals(List.of(outHeight, outWidth), List.of(layout.outHeight(), layout.outWidth()));
    assertEquals(rows, layout.rows());
    assertEquals(rows, layout.blend().rows());
    assertEquals(1 + canvasWidth / 384 * (canvasHeight / 384), layout.tiles());
  }

  /** Weights of a row sum to 1, indexes lie in the features, every row of the picture ends with the newline vector. */
  @ParameterizedTest
  @CsvSource({"384, 384", "640, 480", "1000, 600", "2048, 1365", "500, 2000", "7, 300"})
  void blendsAreMeansOfFeatures(int width, int height) {
    AnyresLayout layout = AnyresLayout.of(width, height, RELEASED);
    RowBlend rows = layout.blend();
    int features = layout.tiles() * 729;
    for (int r = 0; r < rows.rows(); r++) {
      double sum = 0;
      for (int k = 0; k < RowBlend.TERMS; k++) {
        sum += rows.weight()[RowBlend.TERMS * r + k];
        assertTrue(rows.weight()[RowBlend.TERMS * r + k] >= 0);
      }
      assertEquals(1, sum, 1e-6);
      int first = rows.index()[RowBlend.TERMS * r];
      boolean newline = r >= 729 && (r - 729) % (layout.outWidth() + 1) == layout.outWidth();
      assertEquals(newline, first == features, "row " + r);
      assertTrue(first >= 0 && first <= features);
      assertEquals(r < 729, first < 729, "the thumbnail comes first, and only there");
    }
  }

  /** A picture of features that are linear in their place stays linear when it is shrunk. */
  @Test
  void shrinkingKeepsALinearPicture() {
    AnyresLayout layout = AnyresLayout.of(2048, 1365, RELEASED);
    RowBlend rows = layout.blend();
    for (int y = 1; y < layout.outHeight() - 1; y++) {
      for (int x = 1; x < layout.outWidth() - 1; x++) {
        double down = 0;
        double right = 0;
        for (int k = 0; k < RowBlend.TERMS; k++) {
          int at = RowBlend.TERMS * (729 + y * (layout.outWidth() + 1) + x) + k;
          int feature = rows.index()[at] - 729;
          int tile = feature / 729;
          down += rows.weight()[at] * (tile / 6 * 27 + feature % 729 / 27 - layout.top());
          right += rows.weight()[at] * (tile % 6 * 27 + feature % 27);
        }
        assertEquals((y + 0.5) * 108 / 44 - 0.5, down, 1e-4);
        assertEquals((x + 0.5) * 162 / 66 - 0.5, right, 1e-4);
      }
    }
  }

  @Test
  void plainAnyresNeverShrinks() {
    AnyresLayout layout = AnyresLayout.of(2048, 1365, SigLipConfig.SO400M.withAnyres(
        new AnyresConfig(AnyresConfig.upToSixBySix(384), Double.POSITIVE_INFINITY)));
    assertEquals(729 + 108 * 163, layout.rows());
  }

  private SigLipImageProcessor released(String aspect) throws Exception {
    Files.writeString(folder.resolve("config.json"), ReleasedModel.QWEN_7B.configJson().replace("anyres_max_4", aspect));
    return new SigLipImageProcessor(ModelConfig.load(folder));
  }

  @Test
  void rowsAreKnownWithoutProcessing() throws Exception {
    SigLipImageProcessor processor = released("anyres_max_4");
    RgbImage one = new RgbImage(640, 480, new byte[3 * 640 * 480]);
    RgbImage other = new RgbImage(30, 40, new byte[3 * 30 * 40]);
    assertArrayEquals(new int[] {2929}, processor.rows(List.of(one)));
    assertArrayEquals(new int[] {730, 730}, processor.rows(List.of(one, other)));
    assertArrayEquals(new int[0], processor.rows(List.of()));
    assertArrayEquals(new int[] {730}, released("pad").rows(List.of(one)));
    assertEquals(730, released("pad").process(List.of(other)).getFirst().rows().rows());
    assertArrayEquals(new int[] {729, 729}, released("square").rows(List.of(one, other)));
    assertEquals(729, released("square").process(List.of(other)).getFirst().rows().rows());
  }

  /** Black borders are -1, the square's grey is 127, and the image is in the middle. */
  @Test
  void bordersAndValues() throws Exception {
    byte[] white = new byte[3 * 384 * 192];
    Arrays.fill(white, (byte) 255);
    ImageTiles tiles = released("anyres_max_4").process(List.of(new RgbImage(384, 192, white))).getFirst();
    assertEquals(2, tiles.tiles());
    int tile = 384 * 384 * 3;
    for (int i = 0; i < tile; i++) {
      assertEquals(1f, tiles.pixels()[i], "the thumbnail fills its square");
      int y = i / 3 / 384;
      assertEquals(y >= 96 && y < 288 ? 1f : -1f, tiles.pixels()[tile + i], "row " + y);
    }
    ImageTiles square = released("pad").process(List.of(new RgbImage(384, 192, white))).getFirst();
    assertEquals((127 / 255f - 0.5f) / 0.5f, square.pixels()[0], 1e-6);
    assertEquals(1f, square.pixels()[192 * 384 * 3]);
  }

  @Test
  void extremeImagesAreRefusedByName() throws Exception {
    SigLipImageProcessor processor = released("anyres_max_4");
    RgbImage line = new RgbImage(201, 1, new byte[603]).named("line.png");
    RgbImage strip = new RgbImage(13378, 100, new byte[3 * 13378 * 100]);
    RgbImage plain = new RgbImage(20, 20, new byte[1200]);
    String tooLong = "line.png: size: 201 x 1 pixels; the longer side may be at most 200 times";
    refused(tooLong, () -> processor.rows(List.of(line)));
    refused(tooLong, () -> processor.process(List.of(line)));
    refused(tooLong, () -> processor.rows(List.of(plain, line)));
    // alone it is tiled, among others it would be a square of more pixels than any image may have
    assertEquals(1, processor.rows(List.of(strip)).length);
    refused("image 2: size: 13378 x 100 pixels; too long and narrow", () -> processor.rows(List.of(plain, strip)));
    refused("image 2: size: 13378 x 100 pixels; too long and narrow", () -> processor.process(List.of(plain, strip)));
  }

  /** Where a tile has an even number of features along its side, a thin image may lie between all of them. */
  @Test
  void imagesBetweenTheFeaturesAreRefused() {
    SigLipConfig even = new SigLipConfig(144, 2, 2, 200, 14, 62, 1e-6, new AnyresConfig(AnyresConfig.upToSixBySix(62), 4), false);
    assertEquals(0, AnyresLayout.of(200, 1, even).outHeight());
    assertEquals(1, AnyresLayout.of(200, 1, RELEASED).outHeight());
  }

  private static void refused(String problem, Runnable call) {
    BadInputException e = assertThrows(BadInputException.class, call::run);
    assertTrue(e.getMessage().contains(problem), e.getMessage());
    assertEquals(1, e.getMessage().lines().count());
  }
}
