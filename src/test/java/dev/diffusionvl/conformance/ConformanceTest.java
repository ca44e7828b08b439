// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.conformance;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotNull;
import static org.junit.jupiter.api.Assertions.assertNull;

import dev.diffusionvl.prove.Findings;
import dev.diffusionvl.runtime.Device;
import dev.diffusionvl.runtime.DeviceSpec;
import dev.diffusionvl.runtime.Stream;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.ExtendWith;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/**
 * Each wrapper of cuda/include/dvl.cuh answers by PTX's definition, on whatever device this runs; and the emulated device as a GPU did,
 * once one has recorded its answers ({@link Recorder}, src/test/resources/conformance).
 */
@ExtendWith(Findings.class)
class ConformanceTest {
  private static final Path RECORDED = Path.of("src/test/resources/conformance");

  @ParameterizedTest
  @EnumSource
  void answersByDefinition(Wrapper wrapper) {
    try (Device device = Device.open(DeviceSpec.parse(System.getProperty("dvl.device", "auto"))); Stream stream = device.newStream()) {
      assertNull(wrapper.difference(wrapper.model(wrapper.inputs()), wrapper.run(device, stream)), wrapper + " on " + device);
    }
  }

  /** Without a recording there is nothing to compare: the definition above stands alone. */
  @ParameterizedTest
  @EnumSource
  void answersAsTheRecordedGpu(Wrapper wrapper) throws IOException {
    Path file = RECORDED.resolve(wrapper.kernel() + ".bin");
    if (Files.exists(file)) {
      try (Device device = Device.open(DeviceSpec.parse(System.getProperty("dvl.device", "auto"))); Stream stream = device.newStream()) {
        assertNull(wrapper.difference(Recorder.read(file), wrapper.run(device, stream)), wrapper + " on " + device + ", recorded in "
            + file);
      }
    }
  }

  @Test
  void aDifferenceIsSeen() {
    int[] expected = Wrapper.MMA.model(Wrapper.MMA.inputs());
    int[] wrong = expected.clone();
    wrong[7] ^= 1;
    assertNull(Wrapper.MMA.difference(expected, expected.clone()));
    String difference = Wrapper.MMA.difference(expected, wrong);
    assertNotNull(difference);
    assertEquals("thread 1, output 3", difference.substring(0, 18));
  }

  /** {@code -Dconformance.record=FOLDER}: there, and kept. Where an answer is not as defined, another test says so. */
  @Test
  void aRecordingIsReadBack(@TempDir Path temporary) throws IOException {
    Path folder = Path.of(System.getProperty("conformance.record", temporary.toString()));
    try (Device device = Device.open(DeviceSpec.parse(System.getProperty("dvl.device", "auto")))) {
      Recorder.record(device, folder);
      for (Wrapper wrapper : Wrapper.values()) {
        assertEquals(wrapper.blocks * 32 * wrapper.outputs, Recorder.read(folder.resolve(wrapper.kernel() + ".bin")).length);
      }
      assertEquals(true, Files.readString(folder.resolve("device.json")).contains(device.name()));
    }
  }
}
