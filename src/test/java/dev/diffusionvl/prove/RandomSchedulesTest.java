// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.prove;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.List;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/**
 * The kernel tests on the check build in random schedules ({@code -Dtest.schedules}). Apart from {@link ProofTest}, in a JVM of its own
 * beside that one's: the check build runs blocks one after the other, so each takes one core.
 */
class RandomSchedulesTest {
  private final Proof proof = new Proof();

  static List<Schedule> schedules() {
    return Schedule.all().stream().filter(schedule -> !schedule.equals(Schedule.FORWARD)).toList();
  }

  @BeforeAll
  static void needsTheCheckBuild() {
    assertEquals("emulated-check", System.getProperty("dvl.emulated.build"), "dvl.emulated.build");
  }

  @ParameterizedTest(allowZeroInvocations = true)
  @MethodSource("schedules")
  void kernelTestsOnTheCheckBuild(Schedule schedule) {
    List<String> failures = proof.check(schedule);
    assertTrue(Emulator.checkBuild(), "not the check build");
    assertTrue(failures.isEmpty(), () -> schedule + ":\n" + String.join("\n\n", failures));
  }
}
