// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.train;

import static org.junit.jupiter.api.Assertions.assertEquals;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import dev.diffusionvl.model.DiffusionVl;
import dev.diffusionvl.runtime.DType;
import dev.diffusionvl.runtime.Device;
import dev.diffusionvl.runtime.DeviceSpec;
import java.nio.file.Path;
import java.util.Map;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** Three optimiser steps of recorded cases: losses, gradients of all tensors, and what the weights become (golden-train/README.md). */
class GoldenTrainingTest {
  @ParameterizedTest
  @ValueSource(strings = {"one", "turns", "two", "text", "batch"})
  void stepsAreThoseOfTheReference(String name) throws JsonProcessingException {
    TrainingCase golden = TrainingCase.read(name);
    JsonNode actual = run(golden, DType.F32, false).get("steps");
    double rate = golden.json().get("optimizer").get("lr").asDouble();
    assertEquals(3, actual.size());
    for (int i = 0; i < 3; i++) {
      JsonNode expected = golden.step(i);
      double tolerance = i == 0 ? 1e-5 : 1e-3; // errors grow with the steps
      assertClose(name + " loss " + i, expected.get("loss"), actual.get(i).get("loss"), tolerance);
      assertClose(name + " norm " + i, expected.get("grad_norm"), actual.get(i).get("grad_norm"), i == 0 ? 1e-4 : 1e-3);
      for (Map.Entry<String, JsonNode> tensor : expected.path("gradients").properties()) {
        JsonNode probe = actual.get(i).get("gradients").get(tensor.getKey());
        for (int k = 0; k < 3; k++) {
          assertEquals(tensor.getValue().get(k).asDouble(), probe.get(k).asDouble(), 1e-3 * tensor.getValue().get(0).asDouble(),
              name + " gradient of " + tensor.getKey() + ", number " + k);
        }
      }
      for (Map.Entry<String, JsonNode> tensor : expected.path("weights_after").properties()) {
        JsonNode probe = actual.get(i).get("weights_after").get(tensor.getKey());
        double step = rate * Math.sqrt(elements(tensor.getKey()));
        for (int k = 0; k < 3; k++) {
          assertEquals(tensor.getValue().get(k).asDouble(), probe.get(k).asDouble(), 0.01 * (i + 1) * step, name + " weight "
              + tensor.getKey() + " after step " + (i + 1) + ", number " + k);
        }
      }
    }
  }

  @ParameterizedTest
  @ValueSource(strings = {"one", "turns", "two", "text", "batch"})
  void lossesInBf16(String name) throws JsonProcessingException {
    TrainingCase golden = TrainingCase.read(name);
    JsonNode actual = run(golden, DType.BF16, false).get("steps");
    assertClose(name + " loss 0", golden.step(0).get("loss"), actual.get(0).get("loss"), 0.02);
    for (int i = 1; i < 3; i++) { // AdamW's first steps go by a gradient's sign, which rounding decides where the gradient is small
      assertClose(name + " loss " + i, golden.step(i).get("loss"), actual.get(i).get("loss"), 0.05);
    }
  }

  @ParameterizedTest
  @ValueSource(strings = {"one", "turns", "two", "text", "batch"})
  void nextTokenLoss(String name) throws JsonProcessingException {
    TrainingCase golden = TrainingCase.read(name);
    double expected = 0;
    for (JsonNode sample : golden.step(0).get("samples")) {
      expected += sample.get("ar_loss").asDouble() / golden.step(0).get("samples").size();
    }
    assertEquals(expected, run(golden, DType.F32, true).get("steps").get(0).get("loss").asDouble(), 1e-5 * expected);
  }

  private static void assertClose(String what, JsonNode expected, JsonNode actual, double relative) {
    assertEquals(expected.asDouble(), actual.asDouble(), relative * Math.abs(expected.asDouble()), what);
  }

  /** Of the tensors of the demo model, as far as the tolerance needs them: the least that a name can have. */
  private static double elements(String name) {
    return name.endsWith("bias") || name.contains("norm") || name.contains("ln_q") ? 128 : 128 * 128;
  }

  private static JsonNode run(TrainingCase golden, DType dtype, boolean autoregressive) throws JsonProcessingException {
    try (Device device = Device.open(DeviceSpec.parse(System.getProperty("dvl.device", "auto")));
        DiffusionVl model = DiffusionVl.load(device, Path.of("samples/models/diffusionvl-tiny"), dtype)) {
      return new ObjectMapper().readTree(StepCheck.run(model, golden.folder(), autoregressive));
    }
  }
}
