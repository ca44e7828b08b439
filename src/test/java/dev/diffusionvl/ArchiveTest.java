// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.condition.EnabledIfSystemProperty;
import org.junit.jupiter.api.io.TempDir;

/** The folder of the self-contained archive, as one who has only that meets it: the commands of its own page, with no Java on the PATH. */
@EnabledIfSystemProperty(named = "dvl.consumer.version", matches = ".+", disabledReason = "runs in mvn verify, when the jars are there")
class ArchiveTest {
  private static final String VERSION = System.getProperty("dvl.consumer.version");
  private static final Path BUILD = Path.of(System.getProperty("dvl.consumer.build", "target")).toAbsolutePath();
  private static final Path FOLDER = BUILD.resolve("dist/dvl-" + VERSION + "-linux-x86_64");

  @TempDir
  static Path temp;

  @BeforeAll
  static void make() throws IOException, InterruptedException {
    shell(Path.of("."), "JAVA_HOME='" + System.getProperty("java.home") + "' bench/archive.sh '" + BUILD + "' " + VERSION + " folder");
  }

  private static String shell(Path folder, String command) throws IOException, InterruptedException {
    Path out = temp.resolve("out");
    ProcessBuilder builder = new ProcessBuilder("sh", "-c", command).directory(folder.toFile()).redirectOutput(out.toFile())
        .redirectError(temp.resolve("err").toFile());
    builder.environment().remove("JAVA_HOME");
    builder.environment().put("PATH", "/usr/bin:/bin");
    builder.environment().put("DVL_JAVA_OPTIONS", "-Ddvl.device=emulated");
    Process process = builder.start();
    boolean ended = process.waitFor(300, TimeUnit.SECONDS);
    process.destroyForcibly();
    assertTrue(ended, command);
    assertEquals(0, process.exitValue(), command + "\n" + Files.readString(temp.resolve("err")));
    return Files.readString(out);
  }

  @Test
  void itsPageIsItsOwnAndItsCommandsRun() throws Exception {
    String page = Files.readString(FOLDER.resolve("README.md"));
    List<String> commands = page.lines().filter(line -> line.startsWith("./dvl ")).toList();
    assertFalse(commands.isEmpty());
    for (String command : commands) {
      String said = shell(FOLDER, command);
      assertTrue(said.length() > 20, said);
      if (command.contains("generate")) {
        assertTrue(page.contains("\n> " + said.strip() + "\n"), "the page prints another answer than " + said);
      }
    }
  }
}
