// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.io.File;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.concurrent.TimeUnit;
import java.util.stream.Stream;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/**
 * The script dvl and what it starts, on machines that are not like ours: locale, home, folder, and a standard output that takes nothing.
 */
class OddMachinesTest {
  private static final String ANSWER = "The square is yellow.\n";

  @TempDir
  static Path temp;

  /** The project as a user has it, in a folder whose name is not ASCII. */
  private static Path project;

  private record Outcome(int code, String out, String err) {}

  @BeforeAll
  static void copyOfTheProject() throws IOException {
    assumeTrue(Files.isDirectory(Path.of("target/classes")) && Files.isDirectory(Path.of("target/lib")),
        "no build here: an archive's tests");
    project = Files.createDirectory(temp.resolve("Übung ✓"));
    for (String part : new String[] {"dvl", "samples/models/diffusionvl-tiny", "samples/images", "target/classes", "target/lib"}) {
      try (Stream<Path> files = Files.walk(Path.of(part))) {
        for (Path file : files.filter(Files::isRegularFile).toList()) {
          Files.createDirectories(project.resolve(file).getParent());
          try {
            Files.createLink(project.resolve(file), file);
          } catch (IOException | UnsupportedOperationException e) { // another file system
            Files.copy(file, project.resolve(file));
          }
        }
      }
    }
    Files.createFile(project.resolve("target/dvl.ready"));
    Files.copy(project.resolve("samples/images/yellow-square.png"), project.resolve("gelb ä.png"));
  }

  private static Outcome shell(String command) throws IOException, InterruptedException {
    File out = temp.resolve("out").toFile();
    File err = temp.resolve("err").toFile();
    ProcessBuilder builder = new ProcessBuilder("sh", "-c", command).directory(project.toFile()).redirectOutput(out).redirectError(err);
    builder.environment().put("JAVA_HOME", System.getProperty("java.home"));
    Process process = builder.start();
    assertTrue(process.waitFor(120, TimeUnit.SECONDS), command);
    return new Outcome(process.exitValue(), Files.readString(out.toPath()), Files.readString(err.toPath()));
  }

  @ParameterizedTest
  @CsvSource({"LC_ALL=C", "LC_ALL=POSIX LANG=C", "LC_ALL=no_SUCH.UTF-8", "-i JAVA_HOME=\"$JAVA_HOME\"", "-u HOME", "HOME=/proc/none",
      "HOME=/", "XDG_CACHE_HOME=/proc/none"})
  void theFirstCommand(String environment) throws Exception {
    Outcome plain = shell("env " + environment + " ./dvl generate --image 'gelb ä.png' --prompt 'What color is the square?' "
        + "--device emulated");
    assertEquals(0, plain.code(), plain.err());
    assertEquals(ANSWER, plain.out());
    assertEquals(1, plain.err().lines().count(), plain.err());
  }

  /** Letters reach the tokenizer as they were typed, and messages name files as they are. */
  @Test
  void letters() throws Exception {
    String command = " ./dvl generate --prompt 'Größe ✓ 漢' --system 'ü' --gen-length 8 --json --device emulated";
    Outcome utf8 = shell("LC_ALL=C.UTF-8" + command);
    Outcome ascii = shell("LC_ALL=C" + command);
    assertEquals(0, ascii.code(), ascii.err());
    assertTrue(utf8.out().contains("\"token_ids\"") && ascii.out().contains("\"token_ids\""));
    assertEquals(utf8.out().replaceAll("\"timings.*", ""), ascii.out().replaceAll("\"timings.*", ""));
    Outcome missing = shell("LC_ALL=C ./dvl generate --prompt x --image 'kein ß.png'");
    assertEquals("dvl: kein ß.png: no such file\n", missing.err());
    assertEquals(3, missing.code());
    Outcome untold = shell("cd '" + System.getProperty("user.dir") + "'; LC_ALL=C \"$JAVA_HOME/bin/java\" "
        + "-cp 'target/classes:target/lib/*' "
        + "dev.diffusionvl.cli.Dvl generate --prompt ß");
    assertEquals("dvl: this locale is plain ASCII, and an argument is not: set LC_ALL=C.UTF-8\n", untold.err());
    assertEquals(2, untold.code());
  }

  /** Digits and points are the same everywhere. */
  @Test
  void numbers() throws Exception {
    String inspect = " ./dvl inspect samples/models/diffusionvl-tiny";
    Outcome english = shell("LC_ALL=C.UTF-8" + inspect);
    assertTrue(english.out().contains("5,421,856 parameters"), english.out());
    assertEquals(english, shell("DVL_JAVA_OPTIONS='-Duser.language=ar -Duser.country=EG'" + inspect));
  }

  /** What cannot be written is said, and ends the command: nobody would know otherwise. */
  @ParameterizedTest
  @CsvSource({"generate --prompt Hello! --device emulated", "generate --prompt Hello! --json --device emulated",
      "inspect samples/models/diffusionvl-tiny", "--help", "--version"})
  void standardOutputThatIsFullOrClosed(String arguments) throws Exception {
    Outcome full = shell("./dvl " + arguments + " > /dev/full");
    assertEquals(4, full.code(), full.err());
    assertTrue(full.err().endsWith("dvl: standard output: cannot be written: No space left on device\n"), full.err());
    Outcome closed = shell("{ ./dvl " + arguments + "; echo $? >&2; } | sleep 0");
    assertTrue(closed.err().endsWith("dvl: standard output: closed by its reader\n4\n"), closed.err());
    assertTrue(!closed.err().contains("\tat "), closed.err());
  }

  /** Whoever takes prompts from strangers passes them on as they are: an @ opens no file, and no text becomes an option. */
  @Test
  void promptsOpenNoFiles() throws Exception {
    Files.writeString(project.resolve("words"), "Hello! --gen-length 16 --json", StandardCharsets.UTF_8);
    String[] commands = {"generate --gen-length 8 --device emulated --prompt @words",
        "generate --gen-length 8 --device emulated --prompt=@words"};
    for (String command : commands) {
      Outcome at = shell("./dvl " + command);
      assertEquals(0, at.code(), at.err());
      assertTrue(!at.out().startsWith("{"), at.out());
    }
    Outcome argument = shell("./dvl @words");
    assertEquals(2, argument.code(), argument.err());
    assertTrue(argument.err().contains("@words"), argument.err());
  }
}
