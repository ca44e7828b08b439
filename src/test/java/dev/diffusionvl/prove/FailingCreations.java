// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.prove;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import dev.diffusionvl.runtime.CudaException;
import dev.diffusionvl.runtime.Device;
import dev.diffusionvl.runtime.LeakTracker;
import dev.diffusionvl.runtime.OutOfDeviceMemoryException;
import java.util.ArrayList;
import java.util.List;

/**
 * Has each creation of device memory, pinned memory, a stream, an event, a graph or a library's handle fail in turn, and looks whether
 * anything is left of what had been created before it. Skips the test on a GPU, where no creation can be made to fail.
 */
public record FailingCreations(Device device) {
  private static final boolean ALL = System.getProperty("dvl.switches", "few").equals("all");

  public FailingCreations {
    assumeTrue(Emulator.present(), "no creation can be made to fail on a GPU");
    assertTrue(LeakTracker.enabled(), "run the tests with -Ddvl.trackLeaks=true");
  }

  /** @param work that closes what it creates */
  public void each(String what, Runnable work) {
    some(what, Long.MAX_VALUE, work);
  }

  /**
   * Tries about {@code most} creations, spread over all; with {@code -Ddvl.switches=all} every one.
   *
   * @param work that closes what it creates
   */
  public void some(String what, long most, Runnable work) {
    work.run(); // loads the kernels, which the device keeps
    List<String> before = held();
    Emulator.failCreation(0);
    work.run();
    long creations = Emulator.creations();
    assertEquals(before, held(), what);
    assertTrue(creations > 0, what);
    for (long n = 1; n <= creations; n += ALL ? 1 : 1 + creations / most) {
      String which = what + ", creation " + n + " of " + creations;
      Emulator.failCreation(n);
      RuntimeException e = assertThrows(RuntimeException.class, work::run, which);
      assertTrue(e instanceof OutOfDeviceMemoryException || e instanceof CudaException, () -> which + ": " + e);
      assertEquals(before, held(), which);
    }
  }

  /** What this process holds on the device, by kind, its free memory, and the handles that Java knows. */
  private List<String> held() {
    List<String> held = new ArrayList<>(Emulator.createdObjects());
    held.add("free " + device.memory().free());
    held.add("handles " + LeakTracker.openHandles());
    return held;
  }
}
