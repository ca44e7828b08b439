// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.server;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import com.fasterxml.jackson.databind.JsonNode;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.TimeUnit;

/** Programs of Node.js. A test is skipped where Node.js or the packages that they need are not installed. */
final class Node {
  private static final Path SOURCES = Path.of("src/test/clients");
  private static final Path INSTALLED = Path.of("target/clients"); // by .ci/run

  private Node() {}

  /** The first of some programs that is on the PATH, or null. */
  static String onPath(String... names) {
    for (String name : names) {
      for (String folder : System.getenv("PATH").split(":")) {
        Path file = Path.of(folder.isEmpty() ? "." : folder, name);
        if (Files.isExecutable(file)) {
          return file.toString();
        }
      }
    }
    return null;
  }

  /** What a program of src/test/clients prints, which is one line of JSON. */
  static JsonNode run(Path temp, String neededPackage, String program, String... arguments) throws IOException, InterruptedException {
    assumeInstalled(neededPackage);
    Path copy = Files.copy(SOURCES.resolve(program), INSTALLED.resolve(program), StandardCopyOption.REPLACE_EXISTING);
    return ServedModel.JSON.readTree(print(temp, copy, arguments));
  }

  static void assumeInstalled(String neededPackage) {
    assumeTrue(onPath("node", "nodejs") != null, "skipped: there is no Node.js on the PATH");
    assumeTrue(Files.isDirectory(INSTALLED.resolve("node_modules").resolve(neededPackage)),
        "skipped: the npm package " + neededPackage + " is not in target/clients, where .ci/run installs it");
  }

  /** What a program prints. */
  static String print(Path temp, Path program, String... arguments) throws IOException, InterruptedException {
    List<String> command = new ArrayList<>(List.of(onPath("node", "nodejs"), program.toString()));
    command.addAll(List.of(arguments));
    Path out = temp.resolve("out");
    Path err = temp.resolve("err");
    Process process = new ProcessBuilder(command).redirectOutput(out.toFile()).redirectError(err.toFile()).start();
    boolean ended = process.waitFor(180, TimeUnit.SECONDS);
    process.descendants().forEach(ProcessHandle::destroyForcibly);
    process.destroyForcibly();
    assertTrue(ended, () -> program + " did not end");
    assertEquals(0, process.waitFor(), Files.readString(err));
    return Files.readString(out);
  }
}
