// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.train;

import static org.junit.jupiter.api.Assertions.assertEquals;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import dev.diffusionvl.loader.Json;
import dev.diffusionvl.model.DiffusionVl;
import dev.diffusionvl.model.GoldenCase;
import dev.diffusionvl.runtime.DType;
import dev.diffusionvl.runtime.Device;
import dev.diffusionvl.runtime.DeviceBuffer;
import dev.diffusionvl.runtime.DeviceSpec;
import dev.diffusionvl.runtime.Stream;
import java.util.ArrayList;
import java.util.EnumSet;
import java.util.List;
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

  /** The later steps start from weights that are rounded after each step: docs/translating.md, "Checking it". */
  @ParameterizedTest
  @ValueSource(strings = {"one", "turns", "two", "text", "batch"})
  void lossesInBf16(String name) throws JsonProcessingException {
    TrainingCase golden = TrainingCase.read(name);
    JsonNode actual = run(golden, DType.BF16, false).get("steps");
    for (int i = 0; i < 3; i++) {
      assertClose(name + " loss " + i, golden.step(i).get("loss"), actual.get(i).get("loss"), i == 0 ? 0.005 : 0.05);
    }
  }

  /** What bf16 makes of weights is what f32 makes of the same weights, in every step. */
  @ParameterizedTest
  @ValueSource(strings = {"one", "turns", "two", "text", "batch"})
  void lossesInBf16AreThoseOfTheSameWeightsInF32(String name) {
    TrainingCase golden = TrainingCase.read(name);
    try (Device device = device(); DiffusionVl rounded = load(device, DType.BF16); DiffusionVl exact = load(device, DType.F32)) {
      List<TrainingRow> rows = new ArrayList<>();
      RowEncoder encoder = TrainingFolder.encoder(RowEncoder.Options.of(TrainingFolder.CONFIG, golden.folder())
          .withBlockSize(golden.blockSize()));
      golden.json().get("samples").forEach(sample -> rows.add(encoder.encode(ConversationRecord.of(Json.tree(sample.toString()), name))));
      BlockDiffusionObjective blocks = new BlockDiffusionObjective(golden.blockSize(), rounded.config().maskTokenId(),
          BlockDiffusionObjective.LOWEST);
      TrainerOptions options = new TrainerOptions(1, rows.size(), 1e-3, 2e-4, 0, 3, true, 0, 1, 0, EnumSet.allOf(TrainedPart.class),
          false);
      try (Trainer trainer = new Trainer(rounded, blocks, options); Trainer reference = new Trainer(exact, blocks, options)) {
        for (int i = 0; i < 3; i++) {
          List<Noise> noises = golden.noises(i);
          Trainer.PassMaker passes = (examples, first) -> blocks.rows(examples,
              noises.subList(first, first + examples.size()), rows.size());
          copy(trainer.trainedWeights(), reference.trainedWeights(), trainer.stream());
          double expected = reference.step(rows, passes).loss();
          assertEquals(expected, trainer.step(rows, passes).loss(), (i == 0 ? 0.005 : 0.02) * expected, name + " loss " + i);
        }
      }
    }
  }

  private static void copy(List<DeviceBuffer> from, List<DeviceBuffer> to, Stream stream) {
    for (int i = 0; i < from.size(); i++) {
      to.get(i).set(stream, from.get(i).getFloats(stream));
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
    try (Device device = device(); DiffusionVl model = load(device, dtype)) {
      return new ObjectMapper().readTree(StepCheck.run(model, golden.folder(), autoregressive));
    }
  }

  private static Device device() {
    return Device.open(DeviceSpec.parse(System.getProperty("dvl.device", "auto")));
  }

  private static DiffusionVl load(Device device, DType dtype) {
    return DiffusionVl.load(device, GoldenCase.MODEL, dtype);
  }
}
