// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.io.InputStream;
import java.lang.classfile.ClassFile;
import java.lang.classfile.ClassModel;
import java.lang.classfile.constantpool.ClassEntry;
import java.lang.classfile.constantpool.PoolEntry;
import java.lang.classfile.constantpool.Utf8Entry;
import java.lang.module.ModuleDescriptor;
import java.net.URISyntaxException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.TreeSet;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Stream;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;

/** Which package names which: layers use only what docs/architecture.md allows them, and no packages use each other in a circle. */
class LayerTest {
  private static final String ROOT = "dev/diffusionvl/";
  private static final Pattern NAMED = Pattern.compile(ROOT + "((?:[a-z0-9]+/)+)[A-Z]");

  /** A layer is the first package below the root; it may use itself and these. */
  private static final Map<String, Set<String>> MAY_USE = Map.of(
      "runtime", Set.of(),
      "loader", Set.of(),
      "model", Set.of("loader", "runtime"),
      "train", Set.of("model", "loader", "runtime"),
      "quantize", Set.of("train", "model", "loader", "runtime"),
      "bench", Set.of("train", "model", "loader", "runtime"),
      "eval", Set.of("train", "model", "loader", "runtime"),
      "server", Set.of("model", "loader", "runtime"),
      "cli", Set.of("server", "bench", "eval", "quantize", "train", "model", "loader", "runtime"),
      "samples", Set.of("train", "model", "loader", "runtime"));

  /** Layers that are not in the library's jar. */
  private static final Set<String> PROGRAMS = Set.of("bench", "cli", "eval", "samples", "server");

  /** What only programs depend on; the POM has it as optional. */
  private static final Pattern OPTIONAL = Pattern.compile("com/fasterxml/jackson/(databind|annotation|dataformat)/|dev/hardwood/|picocli/|"
      + "org/(knowm|apache/batik|jline|eclipse/jetty)/|io/prometheus/");

  /** Public classes of the library that are nobody's business. */
  private static final Set<String> HIDDEN = Set.of("dev.diffusionvl.loader.webp");

  private static final Map<String, Set<String>> USES = new TreeMap<>(); // package → packages that its classes name
  private static final List<String> OPTIONAL_USES = new ArrayList<>();

  @BeforeAll
  static void readClasses() throws IOException, URISyntaxException {
    Path root = Path.of(dev.diffusionvl.runtime.Device.class.getProtectionDomain().getCodeSource().getLocation().toURI()).resolve(ROOT);
    int classes = 0;
    try (Stream<Path> files = Files.walk(root)) {
      for (Path file : files.filter(f -> f.toString().endsWith(".class")).toList()) {
        classes++;
        Set<String> uses = USES.computeIfAbsent(root.relativize(file.getParent()).toString(), p -> new TreeSet<>());
        for (String text : names(ClassFile.of().parse(file))) {
          for (Matcher name = NAMED.matcher(text); name.find(); ) {
            uses.add(name.group(1).substring(0, name.group(1).length() - 1));
          }
          if (OPTIONAL.matcher(text).find()) {
            OPTIONAL_USES.add(root.relativize(file) + " names " + text);
          }
        }
      }
    }
    assertTrue(classes > 200, "class files found: " + classes);
    USES.forEach((own, uses) -> uses.remove(own));
  }

  @Test
  void layersPointDownwards() {
    List<String> violations = new ArrayList<>();
    USES.forEach((own, uses) -> uses.stream()
        .filter(used -> !layer(used).equals(layer(own)) && !MAY_USE.getOrDefault(layer(own), Set.of()).contains(layer(used)))
        .forEach(used -> violations.add(own + " uses " + used)));
    assertEquals(List.of(), violations);
  }

  @Test
  void onlyProgramsUseOptionalLibraries() {
    assertTrue(!OPTIONAL_USES.isEmpty(), "the pattern is out of date");
    assertEquals(List.of(), OPTIONAL_USES.stream().filter(use -> !PROGRAMS.contains(layer(use))).toList());
  }

  @Test
  void theModuleExportsTheLibrary() throws IOException {
    Set<String> library = new TreeSet<>();
    USES.keySet().stream().filter(own -> !PROGRAMS.contains(layer(own))).forEach(own -> library.add((ROOT + own).replace('/', '.')));
    library.removeAll(HIDDEN);
    try (InputStream in = LayerTest.class.getResourceAsStream("/META-INF/versions/25/module-info.class")) {
      ModuleDescriptor module = ModuleDescriptor.read(in);
      Set<String> exported = new TreeSet<>();
      module.exports().forEach(export -> exported.add(export.source()));
      assertEquals(library, exported);
    }
  }

  @Test
  void noCircles() {
    Map<String, Set<String>> left = new TreeMap<>();
    USES.forEach((own, uses) -> left.put(own, new TreeSet<>(uses)));
    // Packages that use none of the others cannot be part of a circle; without them the same holds for the next ones.
    while (left.values().removeIf(Set::isEmpty)) {
      left.values().forEach(uses -> uses.retainAll(left.keySet()));
    }
    assertEquals(Map.of(), left, "packages that use each other in a circle, and those that use them");
  }

  private static String layer(String name) {
    return name.split("/")[0];
  }

  /** Class entries and descriptors. */
  private static List<String> names(ClassModel model) {
    List<String> names = new ArrayList<>();
    for (PoolEntry entry : model.constantPool()) {
      if (entry instanceof ClassEntry c) {
        names.add(c.asInternalName());
      } else if (entry instanceof Utf8Entry text && (text.stringValue().startsWith("(") || text.stringValue().startsWith("L"))) {
        names.add(text.stringValue());
      }
    }
    return names;
  }
}
