// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.TimeUnit;

/** What {@code mvn package} has made, installed into a local repository of the tests' own, and programs that are built on it. */
final class FinishedJars {
  static final String VERSION = System.getProperty("dvl.consumer.version");
  static final Path BUILD = Path.of(System.getProperty("dvl.consumer.build", "target")).toAbsolutePath();
  static final Path WORK = BUILD.resolve("consumer");
  /** The local repository of this build, which may lack what only other programs need. */
  static final Path NEAR = Path.of(System.getProperty("dvl.consumer.near", ""));
  static final boolean OFFLINE = System.getProperty("dvl.consumer.settings", "").equals("offline=true");

  private FinishedJars() {}

  static Path jar(String classifier) {
    return BUILD.resolve("diffusionvl-" + VERSION + classifier + ".jar");
  }

  /** Installs the library, then builds the project of this POM into a folder. */
  static void install(String pom, Path out, Duration limit, String... goals) throws IOException, InterruptedException {
    List<String> command = new ArrayList<>(List.of(System.getProperty("dvl.consumer.maven"), "-B", "-q", "-f", pom,
        "-Dmaven.repo.local=" + WORK.resolve("repository"), "-Dnear.repository=" + NEAR.toUri(), "-Dbuild.dir=" + out,
        "-Ddiffusionvl.version=" + VERSION, "org.apache.maven.plugins:maven-install-plugin:3.1.4:install-file",
        "-DpomFile=" + Path.of("pom.xml").toAbsolutePath(), "-Dfile=" + jar(""), "-Dsources=" + jar("-sources"),
        "-Djavadoc=" + jar("-javadoc")));
    command.addAll(List.of(goals));
    if (OFFLINE) {
      command.addAll(List.of("-o", "-Daether.offline.protocols=file"));
    }
    run(command, limit);
  }

  /** Runs a command for at most five minutes. */
  static String run(List<String> command) throws IOException, InterruptedException {
    return run(command, Duration.ofMinutes(5));
  }

  /** Runs a command, which must end well, and returns what it printed. */
  static String run(List<String> command, Duration limit) throws IOException, InterruptedException {
    Files.createDirectories(WORK);
    Path out = WORK.resolve("stdout");
    Path err = WORK.resolve("stderr");
    ProcessBuilder builder = new ProcessBuilder(command).redirectOutput(out.toFile()).redirectError(err.toFile());
    builder.environment().put("JAVA_HOME", System.getProperty("java.home")); // the JDK of this build; the PATH may have an older one
    Process process = builder.start();
    boolean ended = process.waitFor(limit.toSeconds(), TimeUnit.SECONDS);
    process.destroyForcibly();
    assertTrue(ended, () -> "did not end: " + command);
    String text = Files.readString(out);
    assertEquals(0, process.exitValue(), () -> command + "\n" + text + read(err));
    return text;
  }

  private static String read(Path file) {
    try {
      return Files.readString(file);
    } catch (IOException e) {
      return e.toString();
    }
  }
}
