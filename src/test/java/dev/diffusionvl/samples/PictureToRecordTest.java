// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.samples;

import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.ByteArrayOutputStream;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.api.Test;

class PictureToRecordTest {
  @Test
  void printsARecord() {
    PrintStream out = System.out;
    ByteArrayOutputStream printed = new ByteArrayOutputStream();
    try {
      System.setOut(new PrintStream(printed, true, StandardCharsets.UTF_8));
      PictureToRecord.main(new String[] {"samples/models/diffusionvl-tiny", "samples/images/yellow-square.png"});
    } finally {
      System.setOut(out);
    }
    String line = printed.toString(StandardCharsets.UTF_8);
    assertTrue(line.matches("(?s)Drawing\\[count=-?\\d+, shapes=\\[.*]]\\R"), line); // the demo model knows no JSON: its values are chance
  }

  @Test
  void isShort() throws Exception {
    long lines = Files.lines(Path.of("samples/dev/diffusionvl/samples/PictureToRecord.java")).count();
    assertTrue(lines < 50, lines + " lines");
  }
}
