// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.model;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.JsonNode;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/**
 * The switches of {@link Execution} change how often the model runs and nothing else, with either kind of products.
 * {@code -Ddvl.switches=all} tries all combinations of them on all golden cases (the Maven profile {@code nightly}).
 */
class ExecutionTest extends DemoModelTest {
  private static final boolean EVERY_COMBINATION = System.getProperty("dvl.switches", "few").equals("all");

  /** All combinations of the switches, or few of them such that each value meets each other one. */
  static List<Execution> executions(List<Execution> few) {
    if (!EVERY_COMBINATION) {
      return few;
    }
    List<Execution> all = new ArrayList<>();
    for (boolean graphs : new boolean[] {false, true}) {
      for (boolean fused : new boolean[] {false, true}) {
        for (int speculate : new int[] {0, 3, 7}) {
          all.add(new Execution(graphs, fused, speculate));
        }
      }
    }
    return all;
  }

  /**
   * Own products are slow on the emulated device. They get the combinations that the short list for cuBLAS leaves out; own products with
   * three drafts are run in bf16 below.
   */
  @ParameterizedTest
  @MethodSource("cases")
  void everyDecisionOfTheReferenceUnderEverySwitch(GoldenCase golden) {
    follows(golden, GemmChoice.CUBLAS, executions(List.of(new Execution(false, false, 0), new Execution(false, true, 3),
        new Execution(true, false, 3), new Execution(true, true, 7))));
    follows(golden, GemmChoice.OWN, executions(List.of(new Execution(false, false, 7), new Execution(true, true, 0))));
  }

  private static void follows(GoldenCase golden, GemmChoice gemm, List<Execution> executions) {
    JsonNode expected = golden.json().get("expected");
    int blocks = expected.get("blocks").asInt();
    int prefill = expected.get("forwards").get("prefill").asInt();
    int steps = expected.get("forwards").get("denoise").asInt();
    try (Session session = f32.newSession(gemm)) {
      Trace first = null;
      for (Execution execution : executions) {
        String what = golden + " " + gemm + " " + execution;
        Trace trace = new Trace(first == null || execution.speculate() == 3); // the others hear of a block's steps when it is done
        GenerationResult result = session.generate(golden.request(), golden.options(false).withExecution(execution), trace);
        assertArrayEquals(golden.expectedIds(), result.tokenIds(), what);
        assertEquals(expected.get("text").asText(), result.text(), what);
        assertEquals(result.text(), trace.text.toString(), what);
        trace.assertFollows(golden, 1e-3, what); // without compat the mask token has no share, so confidences are a bit higher
        first = first == null ? trace : first;
        trace.assertSameAs(first, 1e-5f, what);

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
  @MethodSource("shortCases")
  void theLastStorePassWithDrafts(GoldenCase golden) {
    try (Session session = f32.newSession()) {
      Trace trace = new Trace(true);
      GenerationResult result = session.generate(golden.request(), golden.options(true).withExecution(new Execution(true, true, 7)), trace);
      assertArrayEquals(golden.expectedIds(), result.tokenIds());
      trace.assertFollows(golden, 1e-4, golden.name());
      assertEquals(1, result.counts().store(), "compat keeps the last store pass");
    }
  }

  static List<GoldenCase> shortCases() {
    return cases().stream().filter(c -> c.name().matches("p[347].*")).toList(); // emulated tensor cores are slow
  }

  /** Numbers to draw with are recorded for as many passes as numbers in 16 bits take. */
  static List<GoldenCase> casesWithoutDraws() {
    return casesInBf16().stream().filter(c -> c.json().get("generation").get("temperature").asDouble() == 0).toList();
  }

  static List<GoldenCase> casesInBf16() {
    return EVERY_COMBINATION ? cases() : shortCases();
  }

  /**
   * Row-invariant kernels: also the confidences, which show every bit of the logits' sum, are equal. The runs compared are of two
   * sessions; all combinations have the plain run among them once more.
   */
  @ParameterizedTest
  @MethodSource("casesInBf16")
  void theSameBitsInBf16WithOurOwnProducts(GoldenCase golden) {
    theSameBits(golden, KvChoice.AUTO);
  }

  /** What a pass has stored is what it sees of its own rows: a block that is stored by the next one's pass, and drafts, change no bit. */
  @ParameterizedTest
  @MethodSource("casesWithoutDraws")
  void theSameBitsWithKeysAndValuesInEightBits(GoldenCase golden) {
    theSameBits(golden, KvChoice.FP8);
  }

  private static void theSameBits(GoldenCase golden, KvChoice kv) {
    try (Session session = bf16.newSession(GemmChoice.OWN, true, kv); Session other = bf16.newSession(GemmChoice.OWN, true, kv)) {
      Trace plain = new Trace(true);
      int[] ids = session.generate(golden.request(), golden.options(false).withExecution(new Execution(false, false, 0)), plain).tokenIds();
      for (Execution execution : executions(List.of(new Execution(true, true, 0), new Execution(true, true, 7),
          new Execution(false, false, 3)))) {
        String what = golden + " " + execution;
        Trace trace = new Trace(false);
        int[] own = other.generate(golden.request(), golden.options(false).withExecution(execution), trace).tokenIds();
        assertArrayEquals(ids, own, what);
        trace.assertSameAs(plain, 0, what);
      }
    }
  }
}
