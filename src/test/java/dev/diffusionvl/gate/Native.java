// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.gate;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Assumptions;

/** The GPU part of the native build, as the gates see it. */
final class Native {
  static final List<String> ARCHITECTURES = List.of("sm_80", "sm_86", "sm_89", "sm_90a", "sm_100", "sm_120");

  private static final List<String> BULK = List.of("sm_90a", "sm_100");

  private static final Path FOLDER = Path.of(System.getProperty("dvl.native.dir", "target/native"));

  private Native() {}

  /** A file of the build; skips the test where the build had no nvcc. */
  static Path file(String name) {
    Path file = FOLDER.resolve(name);
    Assumptions.assumeTrue(Files.exists(file), "no GPU kernels in this build (nvcc was not found, or -Ddvl.cubins=false)");
    return file;
  }

  /** Names of the kernels' files in cuda/, without ending. */
  static List<String> operations() throws IOException {
    try (var files = Files.list(Path.of("cuda"))) {
      return files.map(f -> f.getFileName().toString()).filter(f -> f.endsWith(".cu"))
          .map(f -> f.substring(0, f.length() - 3)).sorted().toList();
    }
  }

  /** The same of those that there are cubins of for an architecture: those that copy in bulk are for some alone (cuda/Makefile). */
  static List<String> operations(String architecture) throws IOException {
    return operations().stream().filter(o -> !o.endsWith("_ring") || BULK.contains(architecture)).toList();
  }

  /** A tab-separated table: the cells of each row by the row's first cell; the heading is the row {@code kernel}. */
  static Map<String, List<String>> table(Path file) throws IOException {
    Map<String, List<String>> rows = new LinkedHashMap<>();
    for (String line : Files.readAllLines(file)) {
      if (!line.isBlank() && !line.startsWith("#")) {
        List<String> cells = new ArrayList<>(List.of(line.split("\t")));
        String name = cells.removeFirst();
        if (rows.put(name, cells) != null) {
          throw new IllegalStateException(file + ": two rows for " + name);
        }
      }
    }
    return rows;
  }
}
