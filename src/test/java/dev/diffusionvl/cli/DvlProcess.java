// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.TimeUnit;
import java.util.stream.Stream;

/** The command line as a user meets it: a process of its own, its exit code, stdout and stderr. */
final class DvlProcess {
  static final Path MODEL = Path.of("samples/models/diffusionvl-tiny");

  private final Path temp;
  private final List<String> javaOptions;

  /** What a process left when it ended. */
  record Outcome(int code, String out, String err) {}

  /** @param temp for the files that take the output, and for the process's own temporary files */
  DvlProcess(Path temp, String... javaOptions) {
    this.temp = temp;
    this.javaOptions = List.of(javaOptions);
  }

  /** Starts dvl. */
  Process start(String... arguments) throws IOException {
    List<String> command = new ArrayList<>(List.of(System.getProperty("java.home") + "/bin/java", "-XX:TieredStopAtLevel=1",
        "-XX:+UseSerialGC", "-XX:-UsePerfData", "--enable-native-access=ALL-UNNAMED", "-Djava.awt.headless=true", "-Ddvl.home=.",
        "-Djava.io.tmpdir=" + Files.createDirectories(temp.resolve("tmp"))));
    command.addAll(javaOptions);
    command.addAll(List.of("-cp", System.getProperty("java.class.path"), "dev.diffusionvl.cli.Dvl"));
    command.addAll(List.of(arguments));
    return new ProcessBuilder(command).redirectOutput(temp.resolve("stdout").toFile()).redirectError(temp.resolve("stderr").toFile())
        .start();
  }

  /** Runs dvl to its end. */
  Outcome run(String... arguments) throws IOException, InterruptedException {
    Process process = start(arguments);
    assertTrue(process.waitFor(120, TimeUnit.SECONDS), "dvl did not end");
    return new Outcome(process.exitValue(), Files.readString(temp.resolve("stdout")), Files.readString(temp.resolve("stderr")));
  }

  /** Runs dvl within this process, which is as good for what is refused before any device is opened, and much faster. */
  Outcome runHere(String... arguments) {
    PrintStream out = System.out;
    PrintStream err = System.err;
    ByteArrayOutputStream stdout = new ByteArrayOutputStream();
    ByteArrayOutputStream stderr = new ByteArrayOutputStream();
    try {
      System.setOut(new PrintStream(stdout, true, StandardCharsets.UTF_8));
      System.setErr(new PrintStream(stderr, true, StandardCharsets.UTF_8));
      int code = Dvl.run(arguments);
      return new Outcome(code, stdout.toString(StandardCharsets.UTF_8), stderr.toString(StandardCharsets.UTF_8));
    } finally {
      System.setOut(out);
      System.setErr(err);
    }
  }

  /** Runs dvl, which must refuse: nothing on stdout, no stack trace, one line on stderr when the input is bad. */
  Outcome refused(int code, String mention, String... arguments) throws IOException, InterruptedException {
    return refused(code, mention, run(arguments));
  }

  /** As {@link #refused}, within this process. */
  Outcome refusedHere(int code, String mention, String... arguments) {
    return refused(code, mention, runHere(arguments));
  }

  private static Outcome refused(int code, String mention, Outcome outcome) {
    assertEquals(code, outcome.code(), outcome.err());
    assertEquals("", outcome.out());
    assertTrue(outcome.err().contains(mention), outcome.err());
    assertTrue(!outcome.err().contains("\tat "), outcome.err());
    if (code == 3) {
      assertEquals(1, outcome.err().lines().count(), outcome.err());
    }
    return outcome;
  }

  /** A copy of the demo model to be spoilt. */
  Path copyModel(String name) throws IOException {
    Path copy = Files.createDirectory(temp.resolve(name));
    try (Stream<Path> files = Files.list(MODEL)) {
      for (Path file : files.toList()) {
        Files.copy(file, copy.resolve(file.getFileName()));
      }
    }
    return copy;
  }
}
