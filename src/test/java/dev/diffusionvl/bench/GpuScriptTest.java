// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.bench;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** {@code bench/gpu.sh} with programs in the archive's place that only say how they were called, and end as a GPU might make them end. */
class GpuScriptTest {
  private static final String CALLS = "calls.txt";

  @TempDir private Path folder;

  /** What the script printed. {@code ends}: a case of the shell, by the arguments of a program. */
  private String load(String ends, int code) throws IOException, InterruptedException {
    Files.writeString(folder.resolve("commit"), "none");
    for (String name : new String[] {"dvl", "dvl-tests"}) {
      Path program = Files.writeString(folder.resolve(name), "#!/bin/sh\necho \"$0 $* $DVL_JAVA_OPTIONS\" >> " + folder.resolve(CALLS)
          + "\ncase \"$0 $*\" in " + ends + " esac\n");
      assertTrue(program.toFile().setExecutable(true));
    }
    Files.deleteIfExists(folder.resolve(CALLS));
    Process script = new ProcessBuilder("bench/gpu.sh", "--home", folder.toString(), "--out", folder.resolve("out").toString(), "load")
        .redirectErrorStream(true).start();
    String said = new String(script.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
    assertEquals(code, script.waitFor(), said);
    return said;
  }

  /** Calls of the programs, the last one that of the step. */
  private List<String> calls() throws IOException {
    return Files.readAllLines(folder.resolve(CALLS));
  }

  @Test
  void bothFormsOfProductsAreTriedOnceAndBeforeAllElse() throws IOException, InterruptedException {
    String said = load("", 0);
    assertTrue(said.contains("products by bulk copies (--ring): ok\n") && said.contains("products by cp.async (--no-ring): ok\n"), said);
    assertEquals(4, calls().size());
    assertTrue(calls().get(0).contains(" --ring") && calls().get(1).contains("SkinnyRingTest") && calls().get(2).contains(" --no-ring"),
        calls().toString());
    assertTrue(calls().get(3).contains("bench load") && !calls().get(3).contains("dvl.ring"), calls().toString());
    load("", 0);
    assertEquals(1, calls().size());
  }

  @Test
  void withoutBulkCopiesWhereTheyHang() throws IOException, InterruptedException {
    String said = load("*dvl*' --ring') exit 124 ;;", 1);
    assertTrue(said.contains("products by bulk copies (--ring): failed, no end within the time limit (products.txt)\n"), said);
    assertTrue(said.contains("products by cp.async (--no-ring): ok\n"), said);
    assertTrue(said.contains("all that follows runs with -Ddvl.ring=false\n"), said);
    assertTrue(calls().getLast().contains("bench load") && calls().getLast().endsWith(" -Ddvl.ring=false"), calls().toString());
    said = load("", 0);
    assertTrue(said.contains("all that follows runs with -Ddvl.ring=false\n"), "a later call knows: " + said);
    assertEquals(1, calls().size());
    assertTrue(calls().getLast().endsWith(" -Ddvl.ring=false"), calls().toString());
  }

  @Test
  void wrongResultsAreSaid() throws IOException, InterruptedException {
    String said = load("*SkinnyRingTest*) exit 1 ;; *' --no-ring') exit 1 ;;", 1);
    assertTrue(said.contains("products by bulk copies (--ring): failed, exit code 1 (products.txt)\n"), said);
    assertTrue(said.contains("products by cp.async (--no-ring): failed, exit code 1 (products.txt)\n"), said);
    assertFalse(said.contains(": ok\n"), said);
  }
}
