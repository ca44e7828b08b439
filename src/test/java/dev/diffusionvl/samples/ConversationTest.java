// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.samples;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.ByteArrayOutputStream;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import org.junit.jupiter.api.Test;

class ConversationTest {
  @Test
  void answersEachQuestion() {
    PrintStream out = System.out;
    ByteArrayOutputStream printed = new ByteArrayOutputStream();
    try {
      System.setOut(new PrintStream(printed, true, StandardCharsets.UTF_8));
      Conversation.main(new String[] {"samples/models/diffusionvl-tiny", "samples/images/yellow-square.png", "What color is the square?",
          "Describe this image."});
    } finally {
      System.setOut(out);
    }
    List<String> lines = printed.toString(StandardCharsets.UTF_8).lines().toList();
    assertEquals(List.of("> What color is the square?", "The square is yellow.", "> Describe this image."), lines.subList(0, 3));
    assertTrue(lines.size() >= 4, lines.toString()); // the demo model knows single questions only
  }

  @Test
  void isShort() throws Exception {
    long lines = Files.lines(Path.of("samples/dev/diffusionvl/samples/Conversation.java")).count();
    assertTrue(lines < 40, lines + " lines");
  }
}
