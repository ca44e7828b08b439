// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.model;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.diffusionvl.loader.ImageFiles;
import dev.diffusionvl.loader.RgbImage;
import dev.diffusionvl.model.GenerationOptions.Remasking;
import dev.diffusionvl.runtime.DType;
import dev.diffusionvl.runtime.DeviceBuffer;
import dev.diffusionvl.runtime.Stream;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.List;
import java.util.Random;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.MethodSource;

/**
 * The theorem of the engine: the tokens of a sequence do not depend on its company. {@code -Ddvl.switches=all} (the Maven profile
 * {@code nightly}) takes 64 requests through engines of 1, 2, 8 and 32 slots, otherwise few of them.
 */
class EngineTokensTest extends DemoModelTest {
  private static final boolean ALL = System.getProperty("dvl.switches", "few").equals("all");
  private static final RgbImage SQUARE = ImageFiles.read(Path.of("samples/images/yellow-square.png"));
  private static final RgbImage TRIANGLE = ImageFiles.read(Path.of("samples/images/triangle-and-cross.png"));

  private record Job(Request request, GenerationOptions options) {}

  /** Both rules, temperatures, lengths, steps, with and without images; the same for the same seed. */
  private static List<Job> jobs(int count, long seed, boolean images) {
    Random random = new Random(seed);
    String[] questions = {"What do you see?", "Describe this image.", "Which colours are there, and where are they?", "Hello!"};
    List<Job> jobs = new ArrayList<>();
    for (int i = 0; i < count; i++) {
      String question = questions[random.nextInt(questions.length)];
      boolean withImage = images && i % 3 == 0;
      Request request = withImage ? Request.of(question, random.nextBoolean() ? SQUARE : TRIANGLE) : Request.of(question);
      GenerationOptions options = GenerationOptions.DEFAULTS.withGenLength(random.nextInt(ALL ? 40 : 20)).withSteps(1 + random.nextInt(8))
          .withSeed(random.nextLong());
      options = random.nextBoolean() ? options.withRemasking(Remasking.LOW_CONFIDENCE_DYNAMIC, 0.3f + 0.6f * random.nextFloat()) : options;
      options = switch (random.nextInt(4)) {
        case 0 -> options.withSampling(0.7f + random.nextFloat(), 0, 1);
        case 1 -> options.withSampling(1, 5 + random.nextInt(20), 0.9f);
        default -> options;
      };
      jobs.add(new Job(request, i % 16 == 7 ? options.withCompat(true) : options));
    }
    return jobs;
  }

  private static List<GenerationResult> alone(DiffusionVl model, GemmChoice gemm, List<Job> jobs, Execution execution) {
    return alone(model, gemm, KvChoice.AUTO, jobs, execution);
  }

  private static List<GenerationResult> alone(DiffusionVl model, GemmChoice gemm, KvChoice kv, List<Job> jobs, Execution execution) {
    try (Session session = model.newSession(gemm, true, kv)) {
      return jobs.stream().map(job -> session.generate(job.request, job.options.withExecution(execution))).toList();
    }
  }

  /** All jobs in random order, some of them cancelled on the way: each of the others as alone, a cancelled one as far as it came. */
  private static void assertAsAlone(DiffusionVl model, EngineOptions options, List<Job> jobs, List<GenerationResult> alone, long seed) {
    Random random = new Random(seed);
    List<Integer> order = new ArrayList<>(IntStream.range(0, jobs.size()).boxed().toList());
    Collections.shuffle(order, random);
    int mask = model.config().maskTokenId();
    try (Engine engine = model.newEngine(options)) {
      Generation[] generations = new Generation[jobs.size()];
      Trace[] traces = new Trace[jobs.size()];
      for (int i : order) {
        traces[i] = new Trace(i % 2 == 0);
        generations[i] = engine.submit(jobs.get(i).request, jobs.get(i).options, traces[i]);
        if (random.nextInt(6) == 0) {
          generations[order.get(random.nextInt(order.indexOf(i) + 1))].cancel();
        }
      }
      for (int i = 0; i < generations.length; i++) {
        GenerationResult result = generations[i].await();
        String what = options.slots() + " slots, request " + i + " " + jobs.get(i).options + ", seed " + seed;
        int[] expected = alone.get(i).tokenIds();
        if (result.finishReason().equals("cancelled")) {
          for (int t = 0; t < expected.length; t++) {
            assertTrue(result.tokenIds()[t] == expected[t] || result.tokenIds()[t] == mask, what + " token " + t);
          }
        } else {
          assertArrayEquals(expected, result.tokenIds(), what);
          assertEquals(alone.get(i).text(), result.text(), what);
          assertEquals(alone.get(i).counts().steps(), result.counts().steps(), what);
        }
        assertEquals(result.text(), traces[i].text.toString(), what);
      }
      assertEquals(0, engine.stats().running() + engine.stats().waiting());
    }
  }

  @ParameterizedTest
  @CsvSource({"F32, CUBLAS, AUTO", "F32, OWN, AUTO", "BF16, OWN, AUTO", "BF16, OWN, FP8"})
  void theSameTokensAloneAndInAnyCompany(DType dtype, GemmChoice gemm, KvChoice kv) {
    boolean quick = gemm == GemmChoice.CUBLAS;
    if (dtype == DType.F32 && !quick && !ALL) {
      return; // own products are slow on the emulated device; bf16 has them too
    }
    DiffusionVl model = dtype == DType.F32 ? f32 : bf16;
    List<Job> jobs = jobs(ALL ? 64 : quick ? 24 : kv == KvChoice.FP8 ? 4 : 8, 7, quick || ALL);
    EngineOptions base = EngineOptions.DEFAULTS.withGemm(gemm).withKv(kv).withKvTokens(2048).withPrefillRows(64);
    List<GenerationResult> alone = alone(model, gemm, kv, jobs, Execution.DEFAULTS);
    for (int slots : ALL ? new int[] {1, 2, 8, 32} : quick ? new int[] {1, 2, 8} : new int[] {4}) {
      assertAsAlone(model, base.withSlots(slots), jobs, alone, slots);
    }
    if (quick) {
      assertAsAlone(model, base.withSlots(8).withExecution(new Execution(false, false, 0)), jobs, alone, 5);
      assertAsAlone(model, base.withSlots(3).withExecution(new Execution(true, true, 3)), jobs, alone, 6);
    }
  }

  /** Memory for few of them at a time: who does not fit waits, and nobody runs out in the middle of an answer. */
  @Test
  void aSmallMemoryForKeysAndValuesIsShared() {
    List<Job> jobs = jobs(12, 3, true);
    List<GenerationResult> alone = alone(f32, GemmChoice.AUTO, jobs, Execution.DEFAULTS);
    assertAsAlone(f32, EngineOptions.DEFAULTS.withSlots(8).withKvTokens(256).withPrefillRows(40), jobs, alone, 11);
  }

  @ParameterizedTest
  @MethodSource("cases")
  void goldenCasesThroughTheEngine(GoldenCase golden) {
    Job filler = jobs(3, 1, false).get(2);
    try (Engine engine = f32.newEngine(EngineOptions.DEFAULTS.withSlots(4).withKvTokens(4096))) {
      Generation before = engine.submit(filler.request, filler.options.withGenLength(32), GenerationListener.NONE);
      Trace trace = new Trace(true);
      Generation compat = engine.submit(golden.request(), golden.options(true), GenerationListener.NONE);
      Generation plain = engine.submit(golden.request(), golden.options(false), trace);
      assertArrayEquals(golden.expectedIds(), plain.await().tokenIds());
      assertArrayEquals(golden.expectedIds(), compat.await().tokenIds());
      trace.assertFollows(golden, 1e-3, golden.name());
      before.await();
    }
  }

  /** Requests whose blocks have other sizes wait until those that run are done, and are served by the same engine. */
  @Test
  void blocksOfOtherSizesTakeTurns() {
    Request question = Request.of("What do you see?");
    GenerationOptions base = GenerationOptions.DEFAULTS.withGenLength(20).withSteps(3);
    List<Job> jobs = new ArrayList<>();
    for (int blockSize : new int[] {8, 5, 8, 1000, 16, 8, 1000}) {
      jobs.add(new Job(question, base.withBlockSize(blockSize)));
    }
    List<GenerationResult> alone = alone(f32, GemmChoice.AUTO, jobs, Execution.DEFAULTS);
    assertAsAlone(f32, EngineOptions.DEFAULTS.withSlots(4).withKvTokens(512), jobs, alone, 2);
  }

  /** What batching is for: sixteen cost hardly more passes than one. */
  @Test
  void sixteenRequestsTakeThePassesOfOne() {
    PassCount one = new PassCount(1);
    PassCount sixteen = new PassCount(16);
    assertTrue(sixteen.forwards <= 1.25 * one.forwards, sixteen.forwards + " passes for 16, " + one.forwards + " for one");
    for (GenerationResult result : sixteen.results) {
      assertArrayEquals(one.results.getFirst().tokenIds(), result.tokenIds());
    }
  }

  /** All requests are there before the first pass, so that the count is the same in each run. */
  private static final class PassCount {
    final List<GenerationResult> results = new ArrayList<>();
    final long forwards;

    PassCount(int requests) {
      try (Batch batch = new Batch(f32, new Batch.Limits(16, 4096, 512, 0), GemmChoice.AUTO, false, KvChoice.AUTO)) {
        PreparedPrompt prompt = batch.prepare(Request.of("Describe this image.", SQUARE), GenerationOptions.DEFAULTS.withGenLength(64));
        for (int i = 0; i < requests; i++) {
          assertTrue(batch.admits(prompt));
          batch.admit(prompt, GenerationEvents.of(f32, prompt, GenerationListener.NONE), System.nanoTime(), o -> results.add(o.result()));
        }
        assertTrue(requests < 16 || !batch.admits(prompt), "all slots are taken");
        while (batch.running() > 0) {
          batch.step();
        }
        forwards = batch.forwards();
      }
    }
  }

  /** The second time a prompt comes nothing of it is read again: no tower, no prefill, the same tokens; nor is a common beginning. */
  @ParameterizedTest
  @CsvSource({"F32, CUBLAS, AUTO", "BF16, OWN, AUTO", "BF16, OWN, FP8"})
  void coldAndWarmPrefixesGiveTheSameTokens(DType dtype, GemmChoice gemm, KvChoice kv) {
    DiffusionVl model = dtype == DType.F32 ? f32 : bf16;
    GenerationOptions options = GenerationOptions.DEFAULTS.withGenLength(10).withSteps(2);
    List<Job> jobs = new ArrayList<>();
    for (String question : List.of("What do you see?", "What do you see?", "What do you see there, and where is it?", "Hello!")) {
      for (RgbImage image : gemm == GemmChoice.OWN ? List.of(SQUARE) : List.of(SQUARE, TRIANGLE)) {
        jobs.add(new Job(Request.of(question, image), options));
      }
    }
    List<GenerationResult> alone = alone(model, gemm, kv, jobs, Execution.DEFAULTS);
    // all of them, one or two, none
    for (long budget : kv == KvChoice.FP8 ? new long[] {64L << 20} : new long[] {64L << 20, 300_000, 0}) {
      EngineOptions engineOptions = EngineOptions.DEFAULTS.withSlots(2).withKvTokens(1024).withGemm(gemm).withKv(kv)
          .withPrefixCacheBytes(budget).withPrefillRows(24);
      try (Engine engine = model.newEngine(engineOptions)) {
        for (int i = 0; i < jobs.size(); i++) {
          long before = engine.stats().prefixTokens();
          GenerationResult result = engine.submit(jobs.get(i).request, options, GenerationListener.NONE).await();
          assertArrayEquals(alone.get(i).tokenIds(), result.tokenIds(), "budget " + budget + ", request " + i);
          long known = engine.stats().prefixTokens() - before;
          assertTrue(known <= result.promptTokens() && (budget > 0 || known == 0));
          if (budget > 1 << 20 && i >= jobs.size() / 4) { // the image is known, and what stands before it
            assertTrue(known >= result.imageTokens() / 8 * 8 && known % 8 == 0, "request " + i + ": " + known);
          }
          if (budget > 1 << 20 && i >= jobs.size() / 4 && i < jobs.size() / 2) {
            assertEquals(result.promptTokens() / 8 * 8, known);
            assertEquals(0, result.counts().prefill());
          }
        }
      }
    }
  }

  /** Broken weights of the tower: who has an image ends, the others do not notice. */
  @Test
  void oneSequenceOfManyHasNaN() {
    try (DiffusionVl broken = DiffusionVl.load(device, GoldenCase.MODEL, DType.F32); Stream stream = device.newStream();
        Engine engine = broken.newEngine(EngineOptions.DEFAULTS.withSlots(4).withKvTokens(1024))) {
      DeviceBuffer norm = ((QwenVlTower) broken.vision()).weights().mergerNorm();
      float[] spoilt = norm.getFloats(stream);
      Arrays.fill(spoilt, Float.NaN);
      norm.set(stream, spoilt);
      Request sound = Request.of("What do you see?");
      GenerationOptions options = GenerationOptions.DEFAULTS.withGenLength(24);
      int[] expected = engine.submit(sound, options, GenerationListener.NONE).await().tokenIds();
      Generation first = engine.submit(sound, options, GenerationListener.NONE);
      Generation bad = engine.submit(Request.of("What do you see?", SQUARE), options, GenerationListener.NONE);
      Generation last = engine.submit(sound, options, GenerationListener.NONE);
      assertThrows(NumericalException.class, bad::await);
      assertArrayEquals(expected, first.await().tokenIds());
      assertArrayEquals(expected, last.await().tokenIds());
      assertArrayEquals(expected, engine.submit(sound, options, GenerationListener.NONE).await().tokenIds());
      assertEquals(1, engine.stats().failed());
    }
  }
}
