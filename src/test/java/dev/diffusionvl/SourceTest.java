// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.regex.Pattern;
import java.util.stream.Stream;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;

/** The form of the project's own files: short lines, nothing written twice, a comment at every public type. */
class SourceTest {
  private static final int COLUMNS = 140;
  private static final int SHARED = 12; // lines that no two places may have in common
  private static final List<Path> ROOTS = Stream.of("bench", "cuda", "docs", "jni-kernels", "loader", "model", "runtime", "samples", "src",
      "README.md", "CHANGELOG.md", "dvl", "pom.xml").map(Path::of).filter(Files::exists).toList();
  private static final Pattern KIND = Pattern.compile(
      ".*\\.(java|cu|cuh|h|c|cpp|def|mutants|mk|sh|py|js|md|xml|properties)|.*/(Makefile|prove|run|with-jdk|dvl-tests)|(bench/)?dvl");
  private static final Pattern OF_OTHERS = Pattern.compile("src/test/resources/.*|samples/(data|models|images)/.*[.](?!md).*");
  private static final Pattern TEST_OR_TABLE = Pattern.compile("src/test/.*|cuda/.*/selftest/.*|cuda/proof/.*|.*\\.(def|md|xml)");
  private static final Pattern THIN = Pattern.compile("[^A-Za-z0-9]*|(import|package|#include|#pragma) .*|(\\*|//|/\\*|#).*");
  private static final Pattern PUBLIC_TYPE = Pattern.compile(
      " *public (?:(?:static|final|sealed|non-sealed|abstract) )*(?:class|interface|record|enum|@interface) \\w+.*");

  private static final Map<Path, List<String>> FILES = new TreeMap<>();

  /** A line with something on it. */
  private record Place(Path file, int line) {
    @Override
    public String toString() {
      return file + ":" + line;
    }
  }

  @BeforeAll
  static void read() throws IOException {
    for (Path root : ROOTS) {
      try (Stream<Path> files = Files.walk(root)) {
        for (Path file : files.filter(Files::isRegularFile).toList()) {
          if (KIND.matcher(file.toString()).matches() && !OF_OTHERS.matcher(file.toString()).matches()) {
            FILES.put(file, Files.readAllLines(file));
          }
        }
      }
    }
    assertTrue(FILES.size() > 600, "files read: " + FILES.size());
  }

  /** Rows of tables and what pages show as code are as long as they have to be. */
  @Test
  void linesAreShort() {
    List<String> tooLong = new ArrayList<>();
    FILES.forEach((file, lines) -> {
      boolean page = file.toString().endsWith(".md");
      boolean shown = false;
      for (int i = 0; i < lines.size(); i++) {
        String line = lines.get(i);
        shown ^= page && line.stripLeading().startsWith("```");
        boolean free = page && (shown || line.startsWith("|") || line.startsWith("    "));
        if (!free && line.codePointCount(0, line.length()) > COLUMNS) {
          tooLong.add(new Place(file, i + 1) + " has " + line.length() + " columns");
        }
      }
    });
    assertEquals(List.of(), tooLong);
  }

  @Test
  void nothingIsWrittenTwice() {
    List<String> twice = new ArrayList<>();
    Map<List<String>, Place> seen = new HashMap<>();
    FILES.forEach((file, lines) -> {
      if (TEST_OR_TABLE.matcher(file.toString()).matches()) {
        return;
      }
      List<String> texts = new ArrayList<>();
      List<Integer> numbers = new ArrayList<>();
      for (int i = 0; i < lines.size(); i++) {
        String text = lines.get(i).strip().replaceAll("\\s+", " ");
        if (!THIN.matcher(text).matches()) {
          texts.add(text);
          numbers.add(i + 1);
        }
      }
      for (int i = 0; i + SHARED <= texts.size(); i++) {
        Place place = new Place(file, numbers.get(i));
        Place before = seen.putIfAbsent(List.copyOf(texts.subList(i, i + SHARED)), place);
        if (before != null) {
          twice.add(place + " as " + before);
        }
      }
    });
    assertTrue(seen.size() > 10_000, "places compared: " + seen.size());
    assertEquals(List.of(), twice);
  }

  @Test
  void publicTypesHaveAComment() {
    List<String> bare = new ArrayList<>();
    int[] types = {0};
    FILES.forEach((file, lines) -> {
      if (!file.toString().matches("(runtime|loader|model)/.*\\.java")) {
        return;
      }
      for (int i = 0; i < lines.size(); i++) {
        if (PUBLIC_TYPE.matcher(lines.get(i)).matches()) {
          types[0]++;
          int above = i - 1;
          while (lines.get(above).strip().startsWith("@")) {
            above--;
          }
          if (!lines.get(above).endsWith("*/")) {
            bare.add(new Place(file, i + 1) + " has none");
          }
        }
      }
    });
    assertTrue(types[0] > 150, "public types found: " + types[0]);
    assertEquals(List.of(), bare);
  }
}
