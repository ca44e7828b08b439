// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.prove;

import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import dev.diffusionvl.runtime.Device;
import dev.diffusionvl.runtime.DeviceSpec;
import java.util.List;
import java.util.function.Supplier;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/**
 * The emulated device passes for other kinds of GPU: with their compute capability come less shared memory for a block, no bulk copies, no
 * overlap, and grids of as many blocks as run at once.
 */
class GpuKindsTest {
  private static final String USUAL = "gpu=9.0,sticky=1,stderr=1";
  private static final int SHARED_PER_BLOCK = 97; // CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK_OPTIN

  @BeforeEach
  void needsTheEmulatedDevice() {
    assumeTrue(!System.getProperty("dvl.device", "auto").startsWith("gpu"), "for the emulated device");
    Device.open(DeviceSpec.parse("emulated")).close(); // loads the library whose options are set
  }

  /** 8.9 has the least shared memory of all (so have 8.6 and 12.0), 8.0 has neither bulk copies nor overlap, for 11.0 there is no cubin. */
  @ParameterizedTest
  @ValueSource(strings = {"8.0", "8.9", "11.0", "12.0"})
  void everyKernelPassesItsTests(String gpu) {
    passes(gpu, KernelSuite::runAll);
  }

  @ParameterizedTest
  @ValueSource(strings = {"8.0", "8.9", "11.0", "12.0"})
  void theGoldenCases(String gpu) {
    passes(gpu, KernelSuite::runGoldens);
  }

  private static void passes(String gpu, Supplier<List<KernelSuite.Outcome>> tests) {
    assumeTrue(gpu.equals("8.9") || Integer.getInteger("test.schedules", 3) > 1, "all kinds: nightly");
    Emulator.set("gpu=" + gpu + ",sticky=0,stderr=0");
    try {
      List<String> failures = KernelSuite.failures(tests.get());
      assertTrue(failures.isEmpty(), () -> String.join("\n\n", failures));
    } finally {
      Emulator.set(USUAL);
    }
  }

  @Test
  void whatAKindOfGpuCanDo() {
    assertCan("8.0", 80, 163, false, false);
    assertCan("8.6", 86, 99, false, false);
    assertCan("8.9", 89, 99, false, false);
    assertCan("9.0", 90, 227, true, true);
    assertCan("10.0", 100, 227, true, true);
    assertCan("11.0", 110, 227, false, false); // served by PTX for 8.0
    assertCan("12.0", 120, 99, false, true);
  }

  private static void assertCan(String gpu, int capability, int sharedKilobytes, boolean bulk, boolean overlap) {
    Emulator.set("gpu=" + gpu);
    try (Device device = Device.open(DeviceSpec.parse("emulated"))) {
      boolean asSaid = device.computeCapability() == capability && device.attribute(SHARED_PER_BLOCK) == sharedKilobytes << 10
          && device.copiesInBulk() == bulk && device.overlaps() == overlap;
      assertTrue(asSaid, () -> "%s: capability %d, %d bytes of shared memory, bulk %b, overlap %b".formatted(gpu,
          device.computeCapability(), device.attribute(SHARED_PER_BLOCK), device.copiesInBulk(), device.overlaps()));
    } finally {
      Emulator.set(USUAL);
    }
  }
}
