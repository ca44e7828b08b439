// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.prove;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.util.SortedSet;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

/** What is shipped for GPUs runs, not only what g++ makes of the same sources. {@code cuda/prove} does the same on the check build. */
class PtxTest {
  @BeforeEach
  void needsPtxAndTheEmulatedDevice() {
    assumeTrue(!PtxSuite.kernels().isEmpty(), "no PTX in this build: nvcc was not found");
    assumeTrue(!System.getProperty("dvl.device", "auto").startsWith("gpu"), "for the emulated device");
  }

  @Test
  void everyKernelPassesItsTests() {
    PtxSuite.Result result = PtxSuite.run(PtxSuite.PLAIN, KernelSuite::runAll);
    assertTrue(result.failures().isEmpty(), () -> String.join("\n\n", result.failures()));
    SortedSet<String> missing = PtxSuite.kernels();
    missing.removeAll(result.ran());
    assertEquals(0, missing.size(), () -> "no kernel test launches " + missing);
  }

  /** In cuda/prove, and in the nightly profile. */
  @Test
  void everyKernelPassesItsTestsWhereAGpuMayDiffer() {
    assumeTrue(Integer.getInteger("test.schedules", 3) > 1, "few schedules are asked for");
    PtxSuite.Result result = PtxSuite.run(PtxSuite.PERTURBED.getLast(), KernelSuite::runAll);
    assertTrue(result.failures().isEmpty(), () -> String.join("\n\n", result.failures()));
  }

  @Test
  void theGoldenCases() {
    PtxSuite.Result result = PtxSuite.run(PtxSuite.PLAIN, KernelSuite::runGoldens);
    assertTrue(result.failures().isEmpty(), () -> String.join("\n\n", result.failures()));
  }
}
