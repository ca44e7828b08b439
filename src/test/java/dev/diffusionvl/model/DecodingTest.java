// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.model;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.diffusionvl.model.GenerationOptions.Remasking;
import dev.diffusionvl.runtime.DType;
import dev.diffusionvl.runtime.Device;
import dev.diffusionvl.runtime.DeviceBuffer;
import dev.diffusionvl.runtime.DeviceSpec;
import dev.diffusionvl.runtime.LeakTracker;
import dev.diffusionvl.runtime.Stream;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/** The plain decoding, one block after the other with a pass for each thing, gives the tokens of every combination that saves passes. */
class DecodingTest {
  private static final Request QUESTION = Request.of("What colour is the square?");
  private static final Execution PLAIN = new Execution(false, false, 0);

  private static Device device;
  private static DiffusionVl model;
  private static Session session; // one for all: what a generation leaves behind must not show in the next

  @BeforeAll
  static void load() {
    device = Device.open(DeviceSpec.parse(System.getProperty("dvl.device", "auto")));
    model = DiffusionVl.load(device, GoldenCase.MODEL, DType.F32);
    session = model.newSession();
  }

  @AfterAll
  static void close() {
    session.close();
    model.close();
    device.close();
  }

  private static final Decoding FULL = new Decoding.Full(0, 5, Remasking.LOW_CONFIDENCE_STATIC, 0.85f);

  /** Full diffusion is what a block that holds prompt and answer is, whatever their length. */
  @Test
  void fullDiffusionIsOneBlock() {
    GenerationOptions options = options(8, 5, 20).withDecoding(FULL);
    GenerationResult full = session.generate(QUESTION, options);
    assertEquals(1, full.counts().blocks());
    GenerationResult block = session.generate(QUESTION, options(full.promptTokens() + 20, 5, 20));
    assertArrayEquals(block.tokenIds(), full.tokenIds());
    assertEquals(block.counts(), full.counts());
    assertThrows(PromptLimitException.class, () -> session.generate(QUESTION, options.withBlockSize(full.promptTokens() + 19)));
  }

  private record Case(String name, GenerationOptions options) {
    @Override
    public String toString() {
      return name;
    }
  }

  private static GenerationOptions options(int blockSize, int steps, int genLength) {
    return GenerationOptions.DEFAULTS.withBlockSize(blockSize).withSteps(steps).withGenLength(genLength);
  }

  /** For each of 100 forwards numbers near 0 and, now and then, near 1. */
  private static List<double[]> uniforms(int rows) {
    List<double[]> all = new ArrayList<>();
    for (int f = 0; f < 100; f++) {
      double[] u = new double[rows];
      for (int i = 0; i < rows; i++) {
        u[i] = (f + i) % 3 == 0 ? 0.9999 : (f * 7 + i * 13) % 97 / 97.0;
      }
      all.add(u);
    }
    return all;
  }

  static List<Case> cases() {
    GenerationOptions base = options(8, 8, 20);
    int prompt = session.generate(QUESTION, base.withGenLength(0)).promptTokens();
    return List.of(
        new Case("no token", base.withGenLength(0)),
        new Case("one token", base.withGenLength(1)),
        new Case("one step a block", options(8, 1, 20)),
        new Case("more steps than rows", options(4, 9, 10)),
        new Case("uneven quotas", options(8, 3, 24)),
        new Case("blocks of 5", options(5, 5, 17)),
        new Case("blocks of 16", options(16, 16, 40)),
        new Case("blocks of 1", options(1, 1, 5)),
        new Case("no prompt row in the first block", options(prompt, 4, 30)),
        new Case("prompt shorter than a block", options(prompt + 3, 3, 40)),
        new Case("one block for prompt and answer", options(prompt + 20, 5, 20)),
        new Case("full diffusion", options(8, 5, 20).withDecoding(FULL)),
        new Case("full diffusion, a longer schedule", options(8, 5, 20).withDecoding(FULL.withBlockSize(prompt + 60))),
        new Case("dynamic", base.withRemasking(Remasking.LOW_CONFIDENCE_DYNAMIC, 0.5f)),
        new Case("dynamic, all above", base.withRemasking(Remasking.LOW_CONFIDENCE_DYNAMIC, 0)),
        new Case("dynamic, none above", base.withRemasking(Remasking.LOW_CONFIDENCE_DYNAMIC, 1)),
        new Case("drawn", base.withSampling(1.5f, 0, 0.9f).withSeed(7)),
        new Case("drawn, dynamic", base.withSampling(1.2f, 5, 1).withSeed(8).withRemasking(Remasking.LOW_CONFIDENCE_DYNAMIC, 0.3f)),
        new Case("drawn with given numbers", base.withSampling(1, 0, 1).withUniforms(uniforms(8))),
        new Case("compat", base.withCompat(true)),
        // Nearly uniform: a number near 1 draws the last id of the vocabulary, which is the mask.
        new Case("compat, committed masks", base.withCompat(true).withSampling(1e6f, 0, 1).withUniforms(uniforms(8))));
  }

  @ParameterizedTest
  @MethodSource("cases")
  void fewerPassesSameSteps(Case form) {
    Trace plain = new Trace(true);
    GenerationResult expected = session.generate(QUESTION, form.options.withExecution(PLAIN), plain);
    boolean compat = form.options.compat();
    for (Execution execution : List.of(new Execution(true, true, 0), new Execution(true, true, 7), new Execution(true, false, 2),
        new Execution(false, true, 5))) {
      Trace trace = new Trace(execution.speculate() == 7);
      GenerationResult result = session.generate(QUESTION, form.options.withExecution(execution), trace);
      String what = form + ", " + execution + ": " + result.counts() + ", plain " + expected.counts();
      assertArrayEquals(expected.tokenIds(), result.tokenIds(), what);
      assertEquals(expected.text(), result.text(), what);
      trace.assertSameAs(plain, 1e-5f, what);
      assertEquals(expected.counts().blocks(), result.counts().blocks(), what);
      assertEquals(expected.counts().steps(), result.counts().steps(), what);
      assertEquals(expected.counts().commits(), result.counts().commits(), what);
      assertTrue(result.counts().denoise() <= expected.counts().denoise(), what);
      if (execution.speculate() == 0 || form.options.sampling().drawn()) {
        assertEquals(expected.counts().denoise(), result.counts().denoise(), what);
      }
      if (execution.fusedStore()) {
        assertEquals(0, result.counts().prefill(), what);
        assertTrue(result.counts().store() <= (compat ? 1 : 0), what);
      } else {
        assertEquals(expected.counts().prefill(), result.counts().prefill(), what);
        assertEquals(expected.counts().store(), result.counts().store(), what);
      }
    }
  }

  @Test
  void aCommittedMaskLeavesItsBlockUnstored() {
    GenerationOptions options = cases().getLast().options().withExecution(PLAIN);
    GenerationResult result = session.generate(QUESTION, options);
    assertTrue(Arrays.stream(result.tokenIds()).anyMatch(id -> id == model.config().maskTokenId()), "the case must meet the quirk");
    assertTrue(result.counts().store() < result.counts().blocks(), result.counts().toString());
  }

  static List<Case> threeCases() {
    return cases().stream().filter(c -> c.name.matches("uneven quotas|dynamic|drawn with given numbers")).toList();
  }

  /** After the first requests of a form: no device or pinned memory, no event, no graph, from the first step to the last. */
  @ParameterizedTest
  @MethodSource("threeCases")
  void nothingIsAllocatedOrInstantiatedWhileDecoding(Case form) {
    assertTrue(LeakTracker.enabled(), "run the tests with -Ddvl.trackLeaks=true");
    for (int speculate : new int[] {0, 7}) {
      GenerationOptions options = form.options.withExecution(new Execution(true, true, speculate));
      session.generate(QUESTION, options); // kernels and cuBLAS
      session.generate(QUESTION, options); // graphs
      List<Long> opened = new ArrayList<>();
      session.generate(QUESTION, options, new GenerationListener() {
        @Override
        public void onStep(int block, int step, List<Commit> committed) {
          opened.add(LeakTracker.everOpened());
        }
      });
      assertTrue(opened.stream().distinct().count() <= 1, form + ": " + opened);
    }
  }

  @Test
  void memoryGrowsWithTheLongestRequestAndServesShorterOnes() {
    try (Session own = model.newSession()) {
      own.generate(QUESTION, options(8, 8, 200));
      own.generate(QUESTION, options(8, 8, 200));
      long opened = LeakTracker.everOpened();
      own.generate(QUESTION, options(8, 8, 40));
      long shorter = LeakTracker.everOpened() - opened;
      own.generate(QUESTION, options(8, 8, 200));
      assertEquals(shorter, LeakTracker.everOpened() - opened - shorter, "embeddings and ids of the prompt alone");
      assertTrue(shorter <= 3, () -> shorter + " handles");
    }
  }

  /** A residual stream beyond f16's range is Inf, which the next norm makes NaN. */
  @Test
  void whatLeavesTheRangeOfF16IsSaid() {
    try (DiffusionVl model = DiffusionVl.load(device, GoldenCase.MODEL, DType.F16); Stream stream = device.newStream();
        Session own = model.newSession()) {
      own.generate(QUESTION, options(8, 8, 20));
      DeviceBuffer down = model.text().layers().getFirst().down().dense().weight();
      float[] weights = down.getFloats(stream);
      for (int i = 0; i < weights.length; i++) {
        weights[i] *= 30_000;
      }
      down.set(stream, weights);
      NumericalException e = assertThrows(NumericalException.class, () -> own.generate(QUESTION, options(8, 8, 20)));
      assertEquals("the model's logits hold NaN (denoise forward 0): values beyond float16's 65,504; use --dtype bf16", e.getMessage());
    }
  }

  @Test
  void aNaNEndsTheRequestAndNotTheSession() {
    try (DiffusionVl broken = DiffusionVl.load(device, GoldenCase.MODEL, DType.F32); Stream stream = device.newStream();
        Session own = broken.newSession()) {
      float[] norm = broken.text().finalNorm().getFloats(stream);
      float[] spoilt = norm.clone();
      spoilt[3] = Float.NaN;
      for (Execution execution : List.of(Execution.DEFAULTS, PLAIN, new Execution(true, true, 3))) {
        for (boolean live : new boolean[] {true, false}) {
          broken.text().finalNorm().set(stream, spoilt);
          Trace trace = new Trace(live);
          NumericalException e = assertThrows(NumericalException.class,
              () -> own.generate(QUESTION, options(8, 8, 20).withExecution(execution), trace));
          assertTrue(e.getMessage().contains("denoise forward 0"), e.getMessage());
          assertTrue(trace.steps.isEmpty());
          broken.text().finalNorm().set(stream, norm);
          assertArrayEquals(session.generate(QUESTION, options(8, 8, 20)).tokenIds(),
              own.generate(QUESTION, options(8, 8, 20).withExecution(execution)).tokenIds());
        }
      }
    }
  }
}
