// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.conformance;

import dev.diffusionvl.runtime.Device;
import dev.diffusionvl.runtime.DeviceSpec;
import dev.diffusionvl.runtime.Stream;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.LocalDate;

/**
 * Records a GPU's answers: {@code java ... dev.diffusionvl.conformance.Recorder FOLDER} with the test class path writes one file of
 * little-endian words for each {@link Wrapper}, and device.json. Put into src/test/resources/conformance they bind the emulated device.
 * Says on the way where the GPU itself differs from the definition.
 */
public final class Recorder {
  private Recorder() {}

  static void record(Device device, Path folder) throws IOException {
    Files.createDirectories(folder);
    try (Stream stream = device.newStream()) {
      for (Wrapper wrapper : Wrapper.values()) {
        int[] answer = wrapper.run(device, stream);
        ByteBuffer bytes = ByteBuffer.allocate(answer.length * 4).order(ByteOrder.LITTLE_ENDIAN);
        bytes.asIntBuffer().put(answer);
        Files.write(folder.resolve(wrapper.kernel() + ".bin"), bytes.array());
        String difference = wrapper.difference(wrapper.model(wrapper.inputs()), answer);
        if (difference != null) {
          System.out.println(wrapper.kernel() + ": not as defined: " + difference);
        }
      }
    }
    Files.writeString(folder.resolve("device.json"), "{\"device\": \"%s\", \"compute_capability\": %d, \"date\": \"%s\"}%n".formatted(
        device.name(), device.computeCapability(), LocalDate.now()));
  }

  static int[] read(Path file) throws IOException {
    byte[] bytes = Files.readAllBytes(file);
    int[] words = new int[bytes.length / 4];
    ByteBuffer.wrap(bytes).order(ByteOrder.LITTLE_ENDIAN).asIntBuffer().get(words);
    return words;
  }

  /** Argument: the folder. */
  public static void main(String[] arguments) throws IOException {
    if (arguments.length != 1) {
      System.err.println("usage: Recorder FOLDER");
      System.exit(2);
    }
    try (Device device = Device.open(DeviceSpec.parse(System.getProperty("dvl.device", "gpu")))) {
      record(device, Path.of(arguments[0]));
      System.out.println(Wrapper.values().length + " recordings of " + device.name() + " in " + arguments[0]);
    }
  }
}
