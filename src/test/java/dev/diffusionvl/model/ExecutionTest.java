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

  @BeforeAll
  static void load() {
    device = Device.open(DeviceSpec.parse(System.getProperty("dvl.device", "auto")));
    f32 = DiffusionVl.load(device, GoldenCase.MODEL, DType.F32);
  }

  @AfterAll
  static void close() {
    f32.close();
    device.close();
  }

  static List<GoldenCase> cases() {
    return GoldenCase.all();
  }

  static List<Execution> executions() {
    List<Execution> all = new ArrayList<>();
    for (boolean fused : new boolean[] {true, false}) {
      for (int speculate : new int[] {0, 3, 7}) {
        all.add(new Execution(fused, speculate));
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
      for (Execution execution : executions()) {
        String what = golden + " " + execution;
        Trace trace = new Trace(plain == null || execution.speculate() == 3);
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
      GenerationResult result = session.generate(golden.request(), golden.options(true).withExecution(new Execution(true, 7)), trace);
      assertArrayEquals(golden.expectedIds(), result.tokenIds());
      trace.assertFollows(golden);
      assertEquals(1, result.counts().store(), "compat keeps the last store pass");
    }
  }
}
