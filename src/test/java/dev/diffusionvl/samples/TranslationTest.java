// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.samples;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.diffusionvl.loader.Inspection;
import java.io.ByteArrayOutputStream;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class TranslationTest {
  @TempDir private Path folder;

  @Test
  void makesACheckpoint() {
    PrintStream out = System.out;
    ByteArrayOutputStream printed = new ByteArrayOutputStream();
    Path translated = folder.resolve("translated");
    try {
      System.setOut(new PrintStream(printed, true, StandardCharsets.UTF_8));
      Translation.main(new String[] {"samples/models/qwen25vl-tiny", "samples/data/shapes/train.json", "samples/data/shapes/images",
          translated.toString(), "2"});
    } finally {
      System.setOut(out);
    }
    List<String> lines = printed.toString(StandardCharsets.UTF_8).lines().toList();
    assertEquals(2, lines.size(), lines.toString());
    assertTrue(lines.getLast().startsWith("step 2, loss "), lines.toString());
    Inspection found = Inspection.of(translated);
    assertTrue(found.complete() && found.diffusion());
    assertEquals("D", found.scheme().letter());
  }

  @Test
  void isShort() throws Exception {
    long lines = Files.lines(Path.of("samples/dev/diffusionvl/samples/Translation.java")).count();
    assertTrue(lines < 60, lines + " lines");
  }
}
