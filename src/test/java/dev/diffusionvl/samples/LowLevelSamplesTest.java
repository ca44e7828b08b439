// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.samples;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.diffusionvl.samples.lowlevel.BlockMaskedAttention;
import dev.diffusionvl.samples.lowlevel.CapturedGraph;
import dev.diffusionvl.samples.lowlevel.KvAppend;
import dev.diffusionvl.samples.lowlevel.OwnKernel;
import dev.diffusionvl.samples.lowlevel.Remasking;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.function.Consumer;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;

/** Runs each low-level sample and looks at what it prints. */
class LowLevelSamplesTest {
  private static List<String> output(Consumer<String[]> sample, String... arguments) {
    PrintStream stdout = System.out;
    ByteArrayOutputStream bytes = new ByteArrayOutputStream();
    System.setOut(new PrintStream(bytes, true, StandardCharsets.UTF_8));
    try {
      sample.accept(arguments);
    } finally {
      System.setOut(stdout);
    }
    return bytes.toString(StandardCharsets.UTF_8).lines().toList();
  }

  @Test
  void ownKernel() {
    List<String> lines = output(OwnKernel::main);
    assertEquals(3, lines.size(), lines.toString());
    assertTrue(lines.get(1).startsWith("vector_add with "), lines.toString());
    assertEquals("999 + 999 = 1998", lines.get(2));
  }

  @Test
  void blockMaskedAttention() {
    List<String> lines = output(BlockMaskedAttention::main);
    assertEquals(3, lines.size(), lines.toString());
    assertEquals("first row of block 0: mean block seen 0.00", lines.get(0), "block 0 sees itself only");
    double one = Double.parseDouble(lines.get(1).replaceAll(".* ", ""));
    double two = Double.parseDouble(lines.get(2).replaceAll(".* ", ""));
    assertTrue(one > 0.1 && one < 0.9, lines.toString());
    assertTrue(two > 0.5 && two < 1.7, lines.toString());
  }

  @Test
  void remasking() {
    List<String> lines = output(Remasking::main);
    assertEquals(4, lines.size(), lines.toString());
    for (int step = 0; step < 4; step++) {
      assertTrue(lines.get(step).endsWith(", open " + (6 - 2 * step)), lines.toString());
    }
    assertTrue(lines.get(3).contains("[100, 101, 102, 103, 104, 105, 106, 107]"), lines.toString());
  }

  @Test
  void kvAppend() {
    assertEquals(List.of("slot 4: k 0.000, v 0", "slot 5: k %.3f, v 10".formatted(Math.cos(5)),
        "slot 6: k %.3f, v 11".formatted(Math.cos(6)),
        "slot 7: k 0.000, v 0"), output(KvAppend::main));
  }

  @Test
  void capturedGraph() {
    List<String> lines = output(CapturedGraph::main);
    assertEquals(3, lines.size(), lines.toString());
    assertTrue(lines.get(0).endsWith(": [3.0, 2.0, 1.0, 0.0]"), lines.toString());
    assertTrue(lines.get(1).endsWith(": [9.0, 6.0, 3.0, 0.0]"), lines.toString());
    assertTrue(lines.get(2).endsWith(": [18.0, 12.0, 6.0, 0.0]"), lines.toString());
  }

  @Test
  void samplesAreShort() throws IOException {
    try (Stream<Path> files = Files.list(Path.of("samples/dev/diffusionvl/samples/lowlevel"))) {
      for (Path file : files.toList()) {
        assertTrue(Files.readAllLines(file).size() < 60, file + " is long");
      }
    }
  }
}
