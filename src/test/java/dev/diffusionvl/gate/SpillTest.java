// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.gate;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.diffusionvl.prove.Make;
import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** A kernel that spills registers, or that needs local memory, does not build. */
class SpillTest {
  @TempDir Path build;

  @BeforeEach
  void needsNvcc() {
    Native.file("kernels/sm_80/residual_add.cubin");
  }

  @ParameterizedTest
  @CsvSource({"spill, sm_80, spill", "spill, sm_90a, spill", "local_array, sm_90a, local memory"})
  void aPlantedBugFailsTheBuild(String kernel, String architecture, String message) throws Exception {
    Path cubin = build.resolve("kernels/" + architecture + "/proof/planted/" + kernel + ".cubin");
    Make.Result result = Make.run(build, cubin.toString());
    assertNotEquals(0, result.status(), result.output());
    assertTrue(result.output().toLowerCase().contains(message), result.output());
    assertFalse(Files.exists(cubin));
  }

  @Test
  void aGoodKernelBuildsTheSameWay() throws Exception {
    Path cubin = build.resolve("kernels/sm_80/residual_add.cubin");
    Make.Result result = Make.run(build, cubin.toString());
    assertEquals(0, result.status(), result.output());
    assertTrue(Files.size(cubin) > 0);
  }
}
