// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.prove;

import java.io.File;
import java.io.IOException;
import java.util.ArrayList;
import java.util.List;

/**
 * The kernel tests on the check build in random schedules ({@code -Dtest.schedules}), as a process beside {@link ProofTest}'s: the check
 * build runs blocks one after the other, so each of the two takes one core.
 */
public final class RandomSchedules {
  private RandomSchedules() {}

  /** Starts it with the properties and the class path of this process; what it says goes to a file. */
  static Process start(File said) throws IOException {
    List<String> command = new ArrayList<>(List.of(System.getProperty("java.home") + "/bin/java", "--enable-native-access=ALL-UNNAMED",
        "-Xmx4g", "-cp", System.getProperty("java.class.path")));
    System.getProperties().stringPropertyNames().stream().filter(name -> name.startsWith("dvl.") || name.startsWith("test."))
        .forEach(name -> command.add("-D" + name + "=" + System.getProperty(name)));
    command.add(RandomSchedules.class.getName());
    return new ProcessBuilder(command).redirectErrorStream(true).redirectOutput(said).start();
  }

  /** Says how it went, and ends with 1 if anything failed. */
  public static void main(String[] arguments) {
    Proof proof = new Proof();
    boolean good = true;
    for (Schedule schedule : Schedule.all()) {
      good &= schedule.equals(Schedule.FORWARD) || proof.passes(schedule, List.of());
    }
    System.exit(good && Emulator.checkBuild() ? 0 : 1);
  }
}
