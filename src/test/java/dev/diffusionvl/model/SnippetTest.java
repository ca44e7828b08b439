// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.model;

import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.StringWriter;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.stream.Stream;
import javax.tools.DocumentationTool;
import javax.tools.StandardJavaFileManager;
import javax.tools.ToolProvider;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** The Javadoc of the classes with examples: each example is found in the test that runs it, each link leads somewhere. */
class SnippetTest {
  @Test
  void examplesAreRegionsOfTests(@TempDir Path out) throws Exception {
    DocumentationTool javadoc = ToolProvider.getSystemDocumentationTool();
    List<Path> sources;
    try (Stream<Path> files = Files.walk(Path.of("model"))) {
      sources = files.filter(file -> file.toString().endsWith(".java") && contains(file, "{@snippet")).sorted().toList();
    }
    assertTrue(sources.size() >= 4, sources.toString());
    StringWriter messages = new StringWriter();
    try (StandardJavaFileManager files = javadoc.getStandardFileManager(null, null, null)) {
      boolean ok = javadoc.getTask(messages, files, null, null, List.of("-d", out.toString(), "-quiet", "-notimestamp",
          "--snippet-path", "src/test/java", "-sourcepath", "runtime:loader:model", "-classpath", System.getProperty("java.class.path"),
          "-Xdoclint:all,-missing", "-Werror"), files.getJavaFileObjectsFromPaths(sources)).call();
      assertTrue(ok, messages.toString());
    }
    String page = Files.readString(out.resolve("dev/diffusionvl/model/Request.html"));
    assertTrue(page.contains("What differs?"), "the example is not in the page");
  }

  private static boolean contains(Path file, String text) {
    try {
      return Files.readString(file).contains(text);
    } catch (java.io.IOException e) {
      throw new java.io.UncheckedIOException(e);
    }
  }
}
