// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.prove;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.File;
import java.io.IOException;
import java.nio.file.Files;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.stream.Stream;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.DynamicTest;
import org.junit.jupiter.api.MethodOrderer;
import org.junit.jupiter.api.Order;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.TestFactory;
import org.junit.jupiter.api.TestInstance;
import org.junit.jupiter.api.TestMethodOrder;

/**
 * What {@code cuda/prove} does, on a smaller scale: the kernel tests on the check build with threads in order and in random
 * ones, and one mutant of each kernel. Runs in a JVM of its own (pom.xml), because a process has one emulated device.
 */
@TestInstance(TestInstance.Lifecycle.PER_CLASS)
@TestMethodOrder(MethodOrderer.OrderAnnotation.class)
class ProofTest {
  private final Proof proof = new Proof();
  private File said;
  private Process randomSchedules;

  @BeforeAll
  void needsTheCheckBuild() throws IOException {
    assertEquals("emulated-check", System.getProperty("dvl.emulated.build"), "dvl.emulated.build");
    said = File.createTempFile("random-schedules", ".txt");
    randomSchedules = RandomSchedules.start(said);
  }

  @AfterAll
  void endsTheOtherProcess() {
    randomSchedules.destroyForcibly();
    said.delete();
  }

  @Order(1)
  @Test
  void kernelTestsOnTheCheckBuild() {
    List<String> failures = proof.check(Schedule.FORWARD);
    assertTrue(Emulator.checkBuild(), "not the check build");
    assertTrue(failures.isEmpty(), () -> String.join("\n\n", failures));
  }

  @Order(2)
  @Test
  void everyKernelHasTests() {
    Set<String> without = new HashSet<>(Proof.kernels());
    proof.passed().forEach(t -> without.removeAll(t.ops()));
    assertTrue(without.isEmpty(), "no kernel test launches " + without);
  }

  @Order(3)
  @Test
  void kernelTestsInRandomSchedules() throws Exception {
    int status = randomSchedules.waitFor();
    assertEquals(0, status, () -> "exit status " + status + "\n" + said(said));
  }

  private static String said(File file) {
    try {
      return Files.readString(file.toPath());
    } catch (IOException e) {
      return e.toString();
    }
  }

  @Order(4)
  @TestFactory
  Stream<DynamicTest> mutantsAreKilled() throws Exception {
    // One of each kernel: the first that demands a finding at a certain line, else the first.
    Map<String, Mutant> byKernel = new TreeMap<>();
    Mutant.all(Mutant.CUDA).forEach(m -> byKernel.merge(m.op(), m, (a, b) -> a.finding() == null && b.finding() != null ? b : a));
    List<Mutant> sample = List.copyOf(byKernel.values());
    MutantRunner.build(sample, MutantRunner.Form.HOST_MODULE);
    MutantRunner runner = new MutantRunner(MutantRunner.Form.HOST_MODULE, proof.passed());
    return sample.stream().map(m -> DynamicTest.dynamicTest(m.toString(), () -> {
      MutantRunner.Verdict verdict = runner.run(m);
      assertTrue(verdict.killed(), () -> m + " is alive: " + verdict.how());
    }));
  }
}
