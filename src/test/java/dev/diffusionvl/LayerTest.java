// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.lang.classfile.ClassFile;
import java.lang.classfile.ClassModel;
import java.lang.classfile.constantpool.ClassEntry;
import java.lang.classfile.constantpool.PoolEntry;
import java.lang.classfile.constantpool.Utf8Entry;
import java.net.URISyntaxException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;

/** Layers point downwards only: samples → model → loader → runtime. */
class LayerTest {
  private static final List<String> BOTTOM_UP = List.of("runtime", "loader", "model", "samples");

  @Test
  void noClassNamesAHigherLayer() throws IOException, URISyntaxException {
    Path root = Path.of(dev.diffusionvl.runtime.Device.class.getProtectionDomain().getCodeSource().getLocation().toURI());
    List<String> violations = new ArrayList<>();
    int classes = 0;
    try (Stream<Path> files = Files.walk(root.resolve("dev/diffusionvl"))) {
      for (Path file : files.filter(f -> f.toString().endsWith(".class")).toList()) {
        classes++;
        int layer = BOTTOM_UP.indexOf(root.resolve("dev/diffusionvl").relativize(file).getName(0).toString());
        for (String name : names(ClassFile.of().parse(file))) {
          for (int above = layer + 1; above < BOTTOM_UP.size(); above++) {
            if (name.contains("dev/diffusionvl/" + BOTTOM_UP.get(above) + "/")) {
              violations.add(root.relativize(file) + " names " + name);
            }
          }
        }
      }
    }
    assertTrue(classes > 40, "class files found: " + classes);
    assertEquals(List.of(), violations);
  }

  /** Class entries and descriptors. */
  private static List<String> names(ClassModel model) {
    List<String> names = new ArrayList<>();
    for (PoolEntry entry : model.constantPool()) {
      if (entry instanceof ClassEntry c) {
        names.add(c.asInternalName());
      } else if (entry instanceof Utf8Entry text && text.stringValue().startsWith("(")) {
        names.add(text.stringValue());
      }
    }
    return names;
  }
}
