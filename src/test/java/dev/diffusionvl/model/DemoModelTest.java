// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.model;

import dev.diffusionvl.runtime.DType;
import dev.diffusionvl.runtime.Device;
import dev.diffusionvl.runtime.DeviceSpec;
import java.util.List;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;

/** The demo model in both dtypes, loaded once for the tests of a class, and the golden cases. */
abstract class DemoModelTest {
  static Device device;
  static DiffusionVl f32;
  static DiffusionVl bf16;

  @BeforeAll
  static void loadDemoModel() {
    device = Device.open(DeviceSpec.parse(System.getProperty("dvl.device", "auto")));
    f32 = DiffusionVl.load(device, GoldenCase.MODEL, DType.F32);
    bf16 = DiffusionVl.load(device, GoldenCase.MODEL, DType.BF16);
  }

  @AfterAll
  static void closeDemoModel() {
    f32.close();
    bf16.close();
    device.close();
  }

  static List<GoldenCase> cases() {
    return GoldenCase.all();
  }
}
