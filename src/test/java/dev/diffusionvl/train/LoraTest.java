// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.train;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.diffusionvl.model.DiffusionVl;
import dev.diffusionvl.model.GoldenCase;
import dev.diffusionvl.model.Parameter;
import dev.diffusionvl.runtime.DType;
import dev.diffusionvl.runtime.Device;
import dev.diffusionvl.runtime.DeviceBuffer;
import dev.diffusionvl.runtime.DeviceSpec;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.SplittableRandom;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/**
 * Low-rank adapters against the model with merged weights: by the chain rule, dB = scale · dW Aᵀ and dA = scale · Bᵀ dW, with dW the
 * gradient of the merged weight, which recorded steps test.
 */
class LoraTest {
  private static final int RANK = 3;
  private static final Lora LORA = new Lora(RANK, 5);
  private static final List<String> PROJECTIONS = List.of("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj", "self_attn.o_proj",
      "mlp.gate_proj", "mlp.up_proj", "mlp.down_proj");

  @TempDir private Path folder;
  private static Device device;
  private DiffusionVl model;
  private List<TrainingRow> rows;

  @BeforeAll
  static void open() {
    device = Device.open(DeviceSpec.parse(System.getProperty("dvl.device", "auto")));
  }

  @AfterAll
  static void close() {
    device.close();
  }

  @BeforeEach
  void read() {
    TrainingFolder data = new TrainingFolder(folder);
    data.writeImage("grey.png", 56, 84);
    Path file = data.writeLines("data.jsonl", List.of(TrainingFolder.record("one", "grey.png", "What is it?", "It is grey all over."),
        TrainingFolder.record("two", null, "What is 3 plus 4?", "It is 7.")));
    rows = new ArrayList<>();
    try (ConversationData conversations = data.open(file)) {
      rows.add(conversations.row(0));
      rows.add(conversations.row(1));
    }
  }

  private DiffusionVl load(DType dtype) {
    model = DiffusionVl.load(device, GoldenCase.MODEL, dtype);
    return model;
  }

  /** Rates so small that no weight moves. */
  private static TrainerOptions still(Lora lora) {
    return new TrainerOptions(2, 1, 1e-30, 1e-30, 0, 1, true, 0, 1, 5, Set.of(TrainedPart.LM), false).withLora(lora);
  }

  private Trainer trainer(TrainerOptions options) {
    return new Trainer(model, new BlockDiffusionObjective(8, model.config().maskTokenId(), BlockDiffusionObjective.LOWEST), options);
  }

  /** [A, B] of each projection, in the model's order. */
  private static List<List<DeviceBuffer>> adapters(Trainer trainer) {
    List<List<DeviceBuffer>> pairs = new ArrayList<>();
    for (int i = 0; i < trainer.trainedWeights().size(); i += 2) {
      pairs.add(trainer.trainedWeights().subList(i, i + 2));
    }
    return pairs;
  }

  private List<String> names() {
    List<String> names = new ArrayList<>();
    for (int layer = 0; layer < model.config().text().layers(); layer++) {
      for (String projection : PROJECTIONS) {
        names.add("layers." + layer + "." + projection + ".weight");
      }
    }
    return names;
  }

  private record Adapter(float[] a, float[] b, float[] dA, float[] dB) {}

  @Test
  void gradientsAreThoseOfTheMergedWeight() {
    try (DiffusionVl loaded = load(DType.F32)) {
      Map<String, Adapter> adapters = new HashMap<>();
      double loss;
      try (Trainer trainer = trainer(still(LORA))) {
        drawB(trainer);
        loss = trainer.step(rows).loss();
        List<List<DeviceBuffer>> pairs = adapters(trainer);
        assertEquals(names().size(), pairs.size());
        for (int i = 0; i < pairs.size(); i++) {
          DeviceBuffer a = pairs.get(i).get(0);
          DeviceBuffer b = pairs.get(i).get(1);
          adapters.put(names().get(i), new Adapter(a.getFloats(trainer.stream()), b.getFloats(trainer.stream()),
              trainer.gradient(a).getFloats(trainer.stream()), trainer.gradient(b).getFloats(trainer.stream())));
        }
        trainer.finish();
        assertThrows(IllegalStateException.class, () -> trainer.step(rows));
      }
      try (Trainer merged = trainer(still(null))) {
        assertEquals(loss, merged.step(rows).loss(), 2e-5 * loss);
        adapters.forEach((name, adapter) -> compare(name, adapter, gradient(merged, name)));
      }
    }
  }

  private void drawB(Trainer trainer) {
    SplittableRandom random = new SplittableRandom(11);
    for (List<DeviceBuffer> pair : adapters(trainer)) {
      float[] b = new float[(int) pair.get(1).elements()];
      for (int i = 0; i < b.length; i++) {
        b[i] = (float) (0.02 * random.nextGaussian());
      }
      pair.get(1).set(trainer.stream(), b);
    }
  }

  private float[] gradient(Trainer trainer, String name) {
    Parameter entry = model.parameters().entry(name);
    return trainer.gradient(model.parameters().buffers().get(entry.buffer())).slice(entry.offset(), entry.elements())
        .getFloats(trainer.stream());
  }

  private static void compare(String name, Adapter adapter, float[] dWeight) {
    int in = adapter.a().length / RANK;
    int out = adapter.b().length / RANK;
    double[] dA = new double[adapter.a().length];
    double[] dB = new double[adapter.b().length];
    for (int o = 0; o < out; o++) {
      for (int i = 0; i < in; i++) {
        double dw = LORA.alpha() / RANK * dWeight[o * in + i];
        for (int r = 0; r < RANK; r++) {
          dA[r * in + i] += dw * adapter.b()[o * RANK + r];
          dB[o * RANK + r] += dw * adapter.a()[r * in + i];
        }
      }
    }
    assertClose(name + " A", dA, adapter.dA());
    assertClose(name + " B", dB, adapter.dB());
  }

  private static void assertClose(String what, double[] expected, float[] actual) {
    double greatest = 0;
    for (double value : expected) {
      greatest = Math.max(greatest, Math.abs(value));
    }
    assertTrue(greatest > 0, what + " has a gradient");
    for (int i = 0; i < expected.length; i++) {
      assertEquals(expected[i], actual[i], 2e-4 * greatest, what + "[" + i + "]");
    }
  }

  /** At the start the adapters change nothing, whatever the dtype, and merging them then changes no bit. */
  @Test
  void theModelIsWhatItWasBeforeTheFirstStep() {
    for (DType dtype : new DType[] {DType.BF16, DType.F32}) {
      try (DiffusionVl loaded = load(dtype)) {
        double loss;
        try (Trainer trainer = trainer(still(null))) {
          loss = trainer.step(rows).loss();
        }
        try (Trainer trainer = trainer(still(LORA))) {
          assertEquals(loss, trainer.step(rows).loss());
        }
        try (Trainer trainer = trainer(still(LORA))) {
          Map<String, float[]> before = weights(trainer);
          trainer.finish();
          weights(trainer).forEach((name, values) -> assertArrayEquals(before.get(name), values, name));
        }
      }
    }
  }

  /** Nothing but the projections changes, all of them do, and recomputation changes no bit. */
  @Test
  void onlyTheProjectionsLearn() {
    Map<String, float[]> plain = trained(false);
    Map<String, float[]> recomputed = trained(true);
    plain.forEach((name, values) -> assertArrayEquals(values, recomputed.get(name), name));
  }

  private Map<String, float[]> trained(boolean recompute) {
    TrainerOptions options = new TrainerOptions(1, 2, 1e-2, 1e-2, 0, 3, true, 0, 1, 5, Set.of(TrainedPart.LM), recompute).withLora(LORA);
    try (DiffusionVl loaded = load(DType.F32); Trainer trainer = trainer(options)) {
      Map<String, float[]> before = weights(trainer);
      double first = trainer.step(rows).loss();
      trainer.step(rows);
      assertTrue(trainer.step(rows).loss() < first * 1.5);
      trainer.finish();
      Map<String, float[]> after = weights(trainer);
      List<String> projections = names();
      after.forEach((name, values) -> assertEquals(!projections.contains(name), Arrays.equals(before.get(name), values), name));
      return after;
    }
  }

  private Map<String, float[]> weights(Trainer trainer) {
    Map<String, float[]> weights = new HashMap<>();
    for (Parameter entry : model.parameters().entries()) {
      weights.put(entry.name(), model.parameters().data(entry).getFloats(trainer.stream()));
    }
    return weights;
  }

  @Test
  void adaptersNeedALanguageModelThatIsTrained() {
    String message = assertThrows(IllegalArgumentException.class, () -> still(null).withParts(Set.of(TrainedPart.VISION)).withLora(LORA))
        .getMessage();
    assertTrue(message.contains("language model"), message);
    assertThrows(IllegalArgumentException.class, () -> new Lora(0, 1));
    assertThrows(IllegalArgumentException.class, () -> new Lora(1, 0));
  }
}
