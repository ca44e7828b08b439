// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.prove;

import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import dev.diffusionvl.runtime.CudaException;
import dev.diffusionvl.runtime.Device;
import dev.diffusionvl.runtime.KernelModule;
import dev.diffusionvl.runtime.Stream;
import java.nio.charset.StandardCharsets;

/** A device that fails while others work on it: a kernel writes where there is no memory, and every later call is told of it. */
public final class BrokenDevice {
  private static final String KERNEL = """
      .version 7.0
      .target sm_80
      .address_size 64
      .visible .entry write_nowhere()
      {
        .reg .u64 %nowhere;
        mov.u64 %nowhere, 64;
        st.global.u32 [%nowhere], 1;
        ret;
      }
      """;

  private BrokenDevice() {}

  /** Breaks the device until it is closed. Skips the test on a GPU, where other contexts could be harmed. */
  public static void make(Device device) {
    assumeTrue(Emulator.present(), "no GPU is broken on purpose");
    Emulator.set("stderr=0");
    try (Stream stream = device.newStream(); KernelModule module = device.loadModule("a broken kernel",
        KERNEL.getBytes(StandardCharsets.UTF_8))) {
      assertThrows(CudaException.class, () -> {
        stream.launch(module.function("write_nowhere"), 1, 1, 1, 1, 0).go();
        stream.synchronize();
      });
    } finally {
      Emulator.takeFindings(); // this one is meant
      Emulator.set("stderr=1");
    }
  }
}
