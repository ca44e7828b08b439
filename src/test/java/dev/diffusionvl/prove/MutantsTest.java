// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.prove;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** The mutants' files: every entry still fits the shipped sources, and damaged entries are refused. */
class MutantsTest {
  @TempDir Path folder;

  @Test
  void everyMutantFitsItsKernel() throws IOException {
    List<String> stale = new ArrayList<>();
    for (Mutant mutant : Mutant.all(Mutant.CUDA)) {
      try {
        assertFalse(mutant.mutated(Mutant.CUDA).isEmpty());
        if (mutant.place() != null) {
          mutant.expectedPlace(Mutant.CUDA);
        }
      } catch (IllegalArgumentException e) {
        stale.add(e.getMessage());
      }
    }
    assertTrue(stale.isEmpty(), () -> String.join("\n", stale));
  }

  @Test
  void anEntryReplacesOneTextAndNamesItsPlace() throws IOException {
    project("a();\nb();\n");
    Mutant mutant = Mutant.parse("op", List.of("# why", "", "@ no_b: missing barrier", "- b();", "+ c();", "+ d();",
        "! race @ d()")).getFirst();
    assertEquals("a();\nc();\nd();\n", mutant.mutated(folder));
    assertEquals("op.cu:3", mutant.expectedPlace(folder));
    assertEquals("op.no_b (missing barrier)", mutant.toString());
    Path written = mutant.write(folder, folder.resolve("out"));
    assertEquals("a();\nc();\nd();\n", Files.readString(written));
    assertEquals("header", Files.readString(written.resolveSibling("common.cuh")));
  }

  @Test
  void aHeaderMayBeChanged() throws IOException {
    project("kernel");
    Mutant mutant = Mutant.parse("op", List.of("@ x: wrong index, in common.cuh", "- head")).getFirst();
    Path written = mutant.write(folder, folder.resolve("out"));
    assertEquals("kernel", Files.readString(written));
    assertEquals("er", Files.readString(written.resolveSibling("common.cuh")));
  }

  @Test
  void aStaleMutantIsAnError() throws IOException {
    project("twice(); twice();");
    for (String text : List.of("never();", "twice();")) {
      Mutant mutant = Mutant.parse("op", List.of("@ x: wrong index", "- " + text, "+ y();")).getFirst();
      String message = assertThrows(IllegalArgumentException.class, () -> mutant.write(folder, folder.resolve("out"))).getMessage();
      assertTrue(message.startsWith("stale mutant op.x"), message);
    }
  }

  @Test
  void damagedEntriesAreRefused() {
    for (List<String> lines : List.of(List.of("@ x"), List.of("@ X Y: kind", "- a"), List.of("@ x: kind", "+ a"), List.of("@ x: kind", "a"),
        List.of("@ x: kind", "- a", "! no place"), List.of("@ x: kind", "- a", "", "@ x: kind", "- b"))) {
      String message = assertThrows(IllegalArgumentException.class, () -> Mutant.parse("op", lines)).getMessage();
      assertTrue(message.startsWith("op.mutants:"), message);
    }
  }

  private void project(String kernel) throws IOException {
    Files.writeString(folder.resolve("op.cu"), kernel);
    Files.writeString(Files.createDirectories(folder.resolve("include")).resolve("common.cuh"), "header");
  }
}
