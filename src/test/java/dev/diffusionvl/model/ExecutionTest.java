// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.model;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.JsonNode;
import dev.diffusionvl.runtime.DType;
import dev.diffusionvl.runtime.Device;
import dev.diffusionvl.runtime.DeviceSpec;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/** The switches of {@link Execution} change how often the model runs and nothing else. */
class ExecutionTest {
  private static Device device;
  private static DiffusionVl f32;
  private static DiffusionVl bf16;

  @BeforeAll
  static void load() {
    device = Device.open(DeviceSpec.parse(System.getProperty("dvl.device", "auto")));
    f32 = DiffusionVl.load(device, GoldenCase.MODEL, DType.F32);
    bf16 = DiffusionVl.load(device, GoldenCase.MODEL, DType.BF16);
  }

  @AfterAll
  static void close() {
    f32.close();
    bf16.close();
    device.close();
  }

  static List<GoldenCase> cases() {
    return GoldenCase.all();
  }

  /** All combinations where it is cheap, without an image; for the others such that each value meets each other one. */
  static List<Execution> executions(GoldenCase golden) {
    if (!golden.name().contains("text_only")) {
      return List.of(new Execution(true, true, 0), new Execution(true, false, 7), new Execution(false, true, 3), new Execution(false,
          false, 0));
    }
    List<Execution> all = new ArrayList<>();
    for (boolean graphs : new boolean[] {true, false}) {
      for (boolean fused : new boolean[] {true, false}) {
        for (int speculate : new int[] {0, 3, 7}) {
          all.add(new Execution(graphs, fused, speculate));
        }
      }
    }
    return all;
  }

  @ParameterizedTest
  @MethodSource("cases")
  void everyDecisionOfTheReferenceUnderEverySwitch(GoldenCase golden) {
    JsonNode expected = golden.json().get("expected");
    int blocks = expected.get("blocks").asInt();
    int prefill = expected.get("forwards").get("prefill").asInt();
    int steps = expected.get("forwards").get("denoise").asInt();
    try (Session session = f32.newSession()) {
      Trace plain = null;
      for (Execution execution : executions(golden)) {
        String what = golden + " " + execution;
        Trace trace = new Trace(plain == null || execution.speculate() == 3); // the others hear of a block's steps when it is done
        GenerationResult result = session.generate(golden.request(), golden.options(false).withExecution(execution), trace);
        assertArrayEquals(golden.expectedIds(), result.tokenIds(), what);
        assertEquals(expected.get("text").asText(), result.text(), what);
        assertEquals(result.text(), trace.text.toString(), what);
        plain = plain == null ? trace : plain;
        trace.assertSameAs(plain, 1e-5f, what);

        GenerationResult.Counts counts = result.counts();
        boolean speculates = execution.speculate() > 0 && golden.json().get("generation").get("temperature").asDouble() == 0;
        assertEquals(blocks, counts.blocks(), what);
        assertEquals(steps, counts.steps(), what);
        assertEquals(execution.fusedStore() ? 0 : prefill, counts.prefill(), what);
        assertEquals(execution.fusedStore() ? 0 : blocks - 1, counts.store(), what);
        assertTrue(speculates ? counts.denoise() <= steps : counts.denoise() == steps, () -> what + ": " + counts);
        if (golden.name().contains("static8") && execution.speculate() == 7) {
          assertTrue(counts.denoise() <= 0.7 * steps, () -> what + ": " + counts);
        }
      }
    }
  }

  @ParameterizedTest
  @MethodSource("cases")
  void confidencesOfTheReferenceWithDrafts(GoldenCase golden) {
    try (Session session = f32.newSession()) {
      Trace trace = new Trace(true);
      GenerationResult result = session.generate(golden.request(), golden.options(true).withExecution(new Execution(true, true, 7)), trace);
      assertArrayEquals(golden.expectedIds(), result.tokenIds());
      trace.assertFollows(golden);
      assertEquals(1, result.counts().store(), "compat keeps the last store pass");
    }
  }

  static List<GoldenCase> shortCases() {
    return cases().stream().filter(c -> c.name().matches("p[347].*")).toList(); // the emulated tensor cores take their time
  }

  /** Row-invariant kernels: also the confidences, which show every bit of the logits' sum, are equal. */
  @ParameterizedTest
  @MethodSource("shortCases")
  void theSameBitsInBf16WithOurOwnProducts(GoldenCase golden) {
    try (Session session = bf16.newSession(GemmChoice.OWN)) {
      Trace plain = new Trace(true);
      int[] ids = session.generate(golden.request(), golden.options(false).withExecution(new Execution(false, false, 0)), plain).tokenIds();
      for (Execution execution : List.of(new Execution(true, true, 0), new Execution(true, true, 7), new Execution(false, false, 3))) {
        Trace trace = new Trace(false);
        assertArrayEquals(ids, session.generate(golden.request(), golden.options(false).withExecution(execution), trace).tokenIds());
        trace.assertSameAs(plain, 0, golden + " " + execution);
      }
    }
  }
}
