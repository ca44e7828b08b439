// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import java.util.concurrent.TimeUnit;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** A process killed with SIGKILL at any moment leaves neither temporary files nor a half-written one. */
class KillTest {
  private static final int KILLS = Integer.getInteger("dvl.kills", 3);

  @TempDir
  private Path temp;

  @Test
  void leavesNothingBehind() throws Exception {
    Path work = Files.createDirectory(temp.resolve("work"));
    Path trace = work.resolve("trace.jsonl");
    Path cache = temp.resolve("cache");
    DvlProcess dvl = new DvlProcess(temp, "-Ddvl.native.cache=" + cache);
    String[] generate = {"generate", "--image", "samples/images/yellow-square.png", "--prompt", "Describe this image.", "--trace",
        trace.toString(), "--gen-length", "32"};
    long start = System.nanoTime();
    assertEquals(0, dvl.run(generate).code());
    long millis = (System.nanoTime() - start) / 1_000_000;
    List<String> whole = Files.readAllLines(trace);
    assertTrue(whole.size() > 5, whole.toString());
    List<Path> cached = files(cache);

    Random random = new Random(1);
    int killed = 0;
    for (int i = 0; i < KILLS; i++) {
      Files.deleteIfExists(trace);
      Process process = dvl.start(generate);
      boolean ended = process.waitFor(20 + random.nextLong(millis), TimeUnit.MILLISECONDS);
      process.destroyForcibly().waitFor();
      killed += ended ? 0 : 1;
      assertEquals(List.of(), files(temp.resolve("tmp")), "temporary files");
      assertEquals(cached, files(cache), "native libraries");
      List<Path> results = files(work);
      for (Path part : results.stream().filter(file -> file.toString().endsWith(".part")).toList()) {
        Files.delete(part); // the two moments in which it may be there, hidden and under a random name
      }
      results = files(work);
      if (!results.isEmpty()) {
        assertEquals(List.of(trace), results);
        assertEquals(whole.size(), Files.readAllLines(trace).size());
      }
    }
    assertTrue(killed > 0, "none of " + KILLS + " processes was killed");
    assertEquals(0, dvl.run(generate).code());
    assertEquals(List.of(trace), files(work));
  }

  /** The finished file is not touched until the new one is complete, and a link that was planted beside it never. */
  @Test
  void aTraceIsReplacedAsAWhole() throws Exception {
    Path trace = Files.writeString(temp.resolve("trace.jsonl"), "before\n");
    Path precious = Files.writeString(temp.resolve("precious"), "keep");
    Files.createSymbolicLink(temp.resolve("trace.jsonl.part"), precious);
    DvlProcess dvl = new DvlProcess(temp);
    DvlProcess.Outcome refused = dvl.run("generate", "--prompt", "Hello!", "--trace", trace.toString(), "--gen-length", "5000");
    assertEquals(3, refused.code(), refused.err());
    assertEquals("before\n", Files.readString(trace), "a refused request must not touch the old trace");
    assertEquals(0, dvl.run("generate", "--prompt", "Hello!", "--trace", trace.toString(), "--gen-length", "8").code());
    assertEquals("keep", Files.readString(precious));
    try (Stream<Path> left = Files.list(temp)) {
      assertEquals(List.of(), left.filter(file -> file.getFileName().toString().startsWith(".trace")).toList());
    }
    DvlProcess.Outcome full = dvl.run("generate", "--prompt", "Hello!", "--trace", "/dev/full", "--gen-length", "8");
    assertEquals(4, full.code(), full.err());
    assertTrue(full.err().contains("/dev/full: cannot be written: No space left on device"), full.err());
    for (String line : Files.readAllLines(trace)) {
      assertTrue(new ObjectMapper().readTree(line).has("committed"), line);
    }
  }

  private static List<Path> files(Path folder) throws IOException {
    if (!Files.exists(folder)) {
      return List.of();
    }
    try (Stream<Path> files = Files.walk(folder)) {
      return new ArrayList<>(files.filter(Files::isRegularFile).sorted().toList());
    }
  }
}
