// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.model;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import dev.diffusionvl.runtime.DType;
import dev.diffusionvl.runtime.Graph;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/** The choice of products changes no token in bf16 where the reference's margin allows; {@link ExecutionTest} has f32. */
class GemmChoiceTest extends DemoModelTest {
  @ParameterizedTest
  @MethodSource("cases")
  void sameTextInBf16WhereTheMarginAllows(GoldenCase golden) {
    assumeTrue(golden.json().get("min_margin").asDouble() >= 0.02, "bf16 may decide otherwise");
    String expected = golden.json().get("expected").get("text").asText();
    GenerationResult own = run(golden, GemmChoice.OWN, false);
    assertEquals(expected, own.text());
    assertEquals(expected, run(golden, GemmChoice.CUBLAS, false).text());
    // Overlapping launches change no token; on the emulated device, that they are launched with the attribute and run.
    assertArrayEquals(own.tokenIds(), run(golden, GemmChoice.OWN, true).tokenIds());
  }

  private static GenerationResult run(GoldenCase golden, GemmChoice gemm, boolean overlap) {
    try (Session session = bf16.newSession(gemm, overlap)) {
      return session.generate(golden.request(), golden.options(true));
    }
  }

  @Test
  void fiveKernelsALayer() {
    int layers = f32.config().text().layers();
    // Beside the layers: the embedding gather, and the head with the most likely token.
    assertEquals(5 * layers + 2, kernels(bf16, GemmChoice.OWN));
    assertEquals(5 * layers + 2, kernels(f32, GemmChoice.OWN));
    assertTrue(kernels(bf16, GemmChoice.CUBLAS) > 9 * layers);
  }

  /** Kernels of a denoising forward, from embeddings to predictions. */
  private static int kernels(DiffusionVl model, GemmChoice gemm) {
    try (Session session = model.newSession(gemm); ForwardProbe probe = session.newForwardProbe(16, 8)) {
      probe.run(); // loads what is loaded on first use
      probe.stream().synchronize();
      try (Graph graph = Graph.capture(probe.stream(), probe::run)) {
        return graph.nodes();
      }
    }
  }

  @Test
  void theTableOfAuto() {
    assertTrue(GemmChoice.AUTO.usesOwn(DType.BF16, 1));
    assertTrue(GemmChoice.AUTO.usesOwn(DType.BF16, 64));
    assertFalse(GemmChoice.AUTO.usesOwn(DType.BF16, 65)); // prefill
    assertFalse(GemmChoice.AUTO.usesOwn(DType.F32, 8));
    assertEquals(GemmChoice.CUBLAS, GemmChoice.AUTO.on(true)); // the emulated device
    assertEquals(GemmChoice.AUTO, GemmChoice.AUTO.on(false));
    assertEquals(GemmChoice.OWN, GemmChoice.OWN.on(true));
    assertTrue(GemmChoice.OWN.usesOwn(DType.F32, 1000));
    assertFalse(GemmChoice.CUBLAS.usesOwn(DType.BF16, 8));
  }
}
