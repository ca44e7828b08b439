// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.gpu;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.diffusionvl.loader.ImageFiles;
import dev.diffusionvl.model.DiffusionVl;
import dev.diffusionvl.model.GenerationOptions;
import dev.diffusionvl.model.Request;
import dev.diffusionvl.model.Session;
import dev.diffusionvl.runtime.DType;
import dev.diffusionvl.runtime.Device;
import dev.diffusionvl.runtime.DeviceSpec;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Assumptions;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/**
 * What only a real GPU can show. Every other test runs on whatever device there is; these are skipped, with the reason, on the
 * emulated one.
 */
@Tag("gpu")
class RealGpuTest {
  @BeforeEach
  void needsGpu() {
    boolean driver = List.of("/dev/nvidia0", "/dev/dxg", "/proc/driver/nvidia/version").stream().anyMatch(f -> Files.exists(Path.of(f)));
    Assumptions.assumeTrue(driver, "no NVIDIA driver (/dev/nvidia0, /dev/dxg, /proc/driver/nvidia)");
    Assumptions.assumeFalse(System.getProperty("dvl.device", "auto").equals("emulated"), "the emulated device was asked for");
  }

  @Test
  void autoTakesTheGpu() {
    try (Device device = Device.open(DeviceSpec.AUTO)) {
      assertFalse(device.emulated());
      assertTrue(device.computeCapability() >= 80, device.name());
      assertTrue(device.memory().total() > 0);
    }
  }

  @ParameterizedTest
  @ValueSource(strings = {"gather_rows/gather_rows_bf16", "rms_norm/rms_norm_bf16", "rope_kv_append/rope_kv_append_bf16",
      "vision_rotary/vision_rotary_bf16", "attention/attention_d128_bf16", "attention_simt/attention_d80_f32", "swiglu/swiglu_bf16",
      "residual_add/residual_add_bf16", "residual_rms_norm/residual_rms_norm_bf16", "attention/attention_split_d128_bf16",
      "bias_activation/bias_activation_bf16", "confidence/confidence_bf16", "sample/sample_bf16",
      "remask/remask", "skinny_gemm/skinny_gemm_m8_bf16", "skinny_gemm/skinny_gemm_m64_bf16",
      "skinny_qkv/skinny_qkv_m16_bf16", "skinny_residual/skinny_residual_m32_bf16", "skinny_swiglu/skinny_swiglu_m8_bf16",
      "row_squares/row_squares_bf16", "skinny_confidence/skinny_confidence_m8_bf16"})
  void everyKernelLoads(String kernel) {
    try (Device device = Device.open(DeviceSpec.AUTO)) {
      String[] parts = kernel.split("/");
      assertEquals(parts[1], device.kernel(parts[0], parts[1]).name());
    }
  }

  @Test
  void theDemoModelAnswersInBf16() {
    try (Device device = Device.open(DeviceSpec.AUTO);
        DiffusionVl model = DiffusionVl.load(device, Path.of("samples/models/diffusionvl-tiny"), DType.BF16);
        Session session = model.newSession()) {
      Request request = Request.of("What color is the square?", ImageFiles.read(Path.of("samples/images/yellow-square.png")));
      assertEquals("The square is yellow.", session.generate(request, GenerationOptions.DEFAULTS).text());
    }
  }
}
