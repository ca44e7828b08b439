// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;

/** Comments and pages cite sections of docs/model.md by name: each of them exists. */
class DocumentationTest {
  private static final Path MODEL = Path.of("docs/model.md");
  private static final List<String> ROOTS = List.of("bench", "cuda", "docs", "jni-kernels", "loader", "model", "runtime", "samples", "src");
  private static final Pattern TEXT = Pattern.compile(".*\\.(java|cu|cuh|h|cpp|md|sh|py|mutants)");
  private static final Pattern LINE_OF_COMMENT = Pattern.compile("\\s*\\n\\s*(\\*|//|#)?\\s*");
  private static final Pattern CITATION = Pattern.compile("docs/model\\.md((?:(?:,| and) \"[^\"]+\")+)");
  private static final Pattern INSIDE = Pattern.compile("(\"[A-Z][^\"]+\")");
  private static final Pattern QUOTED = Pattern.compile("\"([^\"]+)\"");

  private static final Map<Path, String> FILES = new TreeMap<>(); // comments of several lines joined to one

  @BeforeAll
  static void read() throws IOException {
    for (String root : ROOTS) {
      try (Stream<Path> files = Files.walk(Path.of(root))) {
        for (Path file : files.filter(f -> TEXT.matcher(f.toString()).matches()).toList()) {
          FILES.put(file, LINE_OF_COMMENT.matcher(Files.readString(file)).replaceAll(" "));
        }
      }
    }
    FILES.put(Path.of("README.md"), Files.readString(Path.of("README.md")));
    assertTrue(FILES.size() > 400, "files read: " + FILES.size());
  }

  @Test
  void citedSectionsExist() throws IOException {
    Set<String> sections = sections();
    List<String> unknown = new ArrayList<>();
    int cited = 0;
    for (Map.Entry<Path, String> file : FILES.entrySet()) {
      Pattern citation = file.getKey().equals(MODEL) ? INSIDE : CITATION;
      for (Matcher m = citation.matcher(file.getValue()); m.find(); ) {
        for (Matcher name = QUOTED.matcher(m.group(1)); name.find(); cited++) {
          if (!sections.contains(name.group(1))) {
            unknown.add(file.getKey() + " cites \"" + name.group(1) + "\"");
          }
        }
      }
    }
    assertTrue(cited > 60, "citations found: " + cited);
    assertEquals(List.of(), unknown, () -> "sections that " + MODEL + " does not have: " + String.join("; ", unknown));
  }

  @Test
  void sectionsHaveNamesOfTheirOwn() throws IOException {
    List<String> headings = headings();
    assertEquals(headings.size(), sections().size(), () -> "two sections of one name in " + headings);
  }

  private static Set<String> sections() throws IOException {
    return new HashSet<>(headings());
  }

  private static List<String> headings() throws IOException {
    return Files.readAllLines(MODEL).stream().filter(line -> line.startsWith("##"))
        .map(line -> line.replaceFirst("#+ ", "")).collect(Collectors.toList());
  }
}
