// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.model;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import com.fasterxml.jackson.databind.JsonNode;
import dev.diffusionvl.runtime.DType;
import java.util.Arrays;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/** The whole way against an independent reference: ids, text, each step's commits, forward counts. */
class GoldenTest extends DemoModelTest {
  private static DiffusionVl f16;

  @BeforeAll
  static void loadInF16() {
    f16 = DiffusionVl.load(device, GoldenCase.MODEL, DType.F16);
  }

  @AfterAll
  static void closeF16() {
    f16.close();
  }

  @ParameterizedTest
  @MethodSource("cases")
  void everyDecisionOfTheReferenceInF32(GoldenCase golden) {
    Trace trace = new Trace(true);
    GenerationResult result;
    try (Session session = f32.newSession()) {
      result = session.generate(golden.request(), golden.options(true).withExecution(new Execution(false, false, 0)), trace);
    }
    JsonNode expected = golden.json().get("expected");
    assertArrayEquals(golden.expectedIds(), result.tokenIds());
    assertEquals(expected.get("text").asText(), result.text());
    assertEquals(result.text(), trace.text.toString());
    assertEquals(expected.get("forwards").get("prefill").asInt(), result.counts().prefill());
    assertEquals(expected.get("forwards").get("denoise").asInt(), result.counts().denoise());
    assertEquals(expected.get("forwards").get("store").asInt(), result.counts().store());
    assertEquals(expected.get("blocks").asInt(), result.counts().blocks());
    assertEquals(expected.get("stopped_by_eos").asBoolean() ? "eos" : "length", result.finishReason());
    assertEquals(golden.json().get("prompt_length").asInt(), result.promptTokens());
    trace.assertFollows(golden, 1e-4, golden.name());
  }

  @ParameterizedTest
  @MethodSource("cases")
  void sameTextInBf16WhereTheMarginAllows(GoldenCase golden) {
    sameText(golden, bf16, GemmChoice.AUTO, 0.02);
  }

  @ParameterizedTest
  @MethodSource("cases")
  void sameTextInF16WhereTheMarginAllows(GoldenCase golden) {
    sameText(golden, f16, GemmChoice.AUTO, 0.002);
  }

  /** By the products that a GPU takes, which are slow on the emulated device. */
  @ParameterizedTest
  @MethodSource("cases")
  void sameTextInF16WithOwnProducts(GoldenCase golden) {
    sameText(golden, f16, GemmChoice.OWN, 0.02);
  }

  private static void sameText(GoldenCase golden, DiffusionVl model, GemmChoice gemm, double least) {
    double margin = golden.json().get("min_margin").asDouble();
    assumeTrue(margin >= least, () -> "the reference's own margin is " + margin + ", 16 bits may decide otherwise");
    try (Session session = model.newSession(gemm)) {
      assertEquals(golden.json().get("expected").get("text").asText(),
          session.generate(golden.request(), golden.options(true)).text());
    }
  }

  @ParameterizedTest
  @MethodSource("cases")
  void bf16RunsAreTheSameFromRunToRun(GoldenCase golden) {
    try (Session first = bf16.newSession(); Session second = bf16.newSession()) {
      GenerationResult a = first.generate(golden.request(), golden.options(false));
      GenerationResult b = second.generate(golden.request(), golden.options(false));
      assertArrayEquals(a.tokenIds(), b.tokenIds());
      assertTrue(Arrays.stream(a.tokenIds()).anyMatch(id -> id != f32.config().maskTokenId()));
    }
  }
}
