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
import java.util.Locale;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;

/** What comments and pages say of pages, sections, classes and kernels: all of them exist, and each kernel has its places. */
class DocumentationTest {
  private static final Path MODEL = Path.of("docs/model.md");
  private static final List<String> ROOTS = List.of("bench", "cuda", "docs", "jni-kernels", "loader", "model", "runtime", "samples", "src");
  private static final Pattern TEXT = Pattern.compile(".*\\.(java|cu|cuh|h|cpp|md|sh|py|mutants)");
  private static final Pattern LINE_OF_COMMENT = Pattern.compile("\\s*\\n\\s*(\\*|//|#)?\\s*");
  private static final Pattern PAGE = Pattern.compile("docs/[a-z-]+\\.md");
  private static final Pattern CLASS = Pattern.compile("`([A-Z][a-z0-9]+(?:[A-Z][A-Za-z0-9]*)+)[`.(]");
  private static final Pattern CITATION = Pattern.compile("docs/model\\.md((?:(?:,| and) \"[^\"]+\")+)");
  private static final Pattern INSIDE = Pattern.compile("(\"[A-Z][^\"]+\")");
  private static final Pattern QUOTED = Pattern.compile("\"([^\"]+)\"");

  /** Kernels without a launcher of their own: attention and its gradient in f32. */
  private static final Set<String> PARTS_OF_OTHERS = Set.of("attention_simt", "attention_backward_simt");

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

  @Test
  void citedPagesExist() {
    List<String> missing = new ArrayList<>();
    FILES.forEach((file, text) -> {
      for (Matcher m = PAGE.matcher(text); m.find(); ) {
        if (!Files.exists(Path.of(m.group()))) {
          missing.add(file + " cites " + m.group());
        }
      }
    });
    assertEquals(List.of(), missing);
  }

  @Test
  void classesThatPagesNameExist() {
    Set<String> classes = FILES.keySet().stream().map(f -> f.getFileName().toString()).filter(f -> f.endsWith(".java"))
        .map(f -> f.substring(0, f.length() - ".java".length())).collect(Collectors.toSet());
    List<String> missing = new ArrayList<>();
    FILES.forEach((file, text) -> {
      Matcher m = CLASS.matcher(file.startsWith("docs") || file.endsWith("README.md") ? text : "");
      while (m.find()) {
        if (!classes.contains(m.group(1)) && !isOfJava(m.group(1))) {
          missing.add(file + " names " + m.group(1));
        }
      }
    });
    assertEquals(List.of(), missing);
  }

  private static boolean isOfJava(String name) {
    try {
      Class.forName("java.lang." + name);
      return true;
    } catch (ClassNotFoundException e) {
      return false;
    }
  }

  /** The places of a new operation (docs/architecture.md) that no other test asks for. */
  @Test
  void everyKernelHasItsPlaces() {
    List<String> missing = new ArrayList<>();
    List<String> kernels = FILES.keySet().stream().filter(f -> f.getNameCount() == 2 && f.toString().matches("cuda/.*\\.cu"))
        .map(f -> f.getFileName().toString().replace(".cu", "")).toList();
    assertTrue(kernels.size() > 20, "kernels found: " + kernels);
    for (String kernel : kernels) {
      if (!FILES.get(Path.of("docs/kernel-contract.md")).matches(".*\\b" + kernel + "[_(.].*")) {
        missing.add(kernel + " in docs/kernel-contract.md");
      }
      if (!FILES.containsKey(Path.of("cuda/proof/mutants", kernel + ".mutants"))) {
        missing.add("cuda/proof/mutants/" + kernel + ".mutants");
      }
      Path launcher = Path.of("runtime/dev/diffusionvl/runtime/op", camelCase(kernel) + ".java");
      if (!FILES.containsKey(launcher) && !PARTS_OF_OTHERS.contains(kernel) && !kernel.endsWith("_ring")) {
        missing.add(launcher.toString());
      }
    }
    assertEquals(List.of(), missing);
  }

  private static String camelCase(String kernel) {
    return Stream.of(kernel.split("_")).map(word -> word.substring(0, 1).toUpperCase(Locale.ROOT) + word.substring(1))
        .collect(Collectors.joining());
  }

  private static Set<String> sections() throws IOException {
    return new HashSet<>(headings());
  }

  private static List<String> headings() throws IOException {
    return Files.readAllLines(MODEL).stream().filter(line -> line.startsWith("##"))
        .map(line -> line.replaceFirst("#+ ", "")).collect(Collectors.toList());
  }
}
