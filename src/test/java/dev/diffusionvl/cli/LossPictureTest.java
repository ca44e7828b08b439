// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.cli;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.diffusionvl.loader.BadInputException;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Set;
import java.util.TreeSet;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** The curve of a run as an SVG file. */
class LossPictureTest {
  /** Colours of the loss, its mean and the score; texts are drawn as outlines. */
  private static final List<String> SERIES = List.of("rgb(158,197,232)", "rgb(31,78,121)", "rgb(192,80,77)");

  @TempDir private Path folder;

  private String draw(int steps, int asked) throws IOException {
    StringBuilder log = new StringBuilder();
    for (int step = 1; step <= steps; step++) {
      log.append("{\"step\": ").append(step).append(", \"loss\": ").append(5.0 / step)
          .append(asked > 0 && step % asked == 0 ? ", \"eval_score\": 0.5" : "").append("}\n");
    }
    Path picture = folder.resolve("loss.svg");
    LossPicture.draw(Files.writeString(folder.resolve("train.jsonl"), log), picture);
    return Files.readString(picture);
  }

  @Test
  void showsLossItsMeanAndTheScore() throws IOException {
    String quiet = draw(40, 0);
    assertEquals(List.of(true, true, false), SERIES.stream().map(quiet::contains).toList());
    String asked = draw(40, 10);
    assertEquals(List.of(true, true, true), SERIES.stream().map(asked::contains).toList());
    assertTrue(!quiet.equals(draw(41, 0)), "a further step changes the picture");
  }

  @Test
  void aLongRunHasAPictureOfBoundedSize() throws IOException {
    int medium = draw(1000, 0).length();
    int longer = draw(20_000, 0).length();
    assertTrue(longer < 1.5 * medium, longer + " characters for 20,000 steps, " + medium + " for 1,000");
  }

  @Test
  void thePictureIsReplacedAsAWhole() throws IOException {
    draw(3, 0);
    byte[] before = Files.readAllBytes(folder.resolve("loss.svg"));
    Files.writeString(folder.resolve("train.jsonl"), "{\"step\": 1, \"lo");
    assertThrows(BadInputException.class, () -> LossPicture.draw(folder.resolve("train.jsonl"), folder.resolve("loss.svg")));
    assertArrayEquals(before, Files.readAllBytes(folder.resolve("loss.svg")));
    try (Stream<Path> files = Files.list(folder)) {
      assertEquals(Set.of("loss.svg", "train.jsonl"), new TreeSet<>(files.map(file -> file.getFileName().toString()).toList()));
    }
  }
}
