// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.model;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import dev.diffusionvl.loader.ChatPrompt;
import dev.diffusionvl.loader.ChatPrompt.Turn;
import dev.diffusionvl.loader.ImageFiles;
import dev.diffusionvl.loader.PromptForm;
import dev.diffusionvl.loader.RgbImage;
import dev.diffusionvl.runtime.DType;
import dev.diffusionvl.runtime.Device;
import dev.diffusionvl.runtime.DeviceBuffer;
import dev.diffusionvl.runtime.DeviceSpec;
import dev.diffusionvl.runtime.Gemm;
import dev.diffusionvl.runtime.Stream;
import dev.diffusionvl.runtime.op.Segments;
import java.io.File;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.MethodSource;

/**
 * Autoregressive decoding of the tiny Qwen2.5-VL base, against what an independent implementation answered. Own products are slow on the
 * emulated device: they get few of the combinations, and all with {@code -Ddvl.switches=all} (the Maven profile {@code nightly}).
 */
class AutoregressiveTest {
  private static final Path BASE = Path.of("samples/models/qwen25vl-tiny");
  private static final boolean ALL = System.getProperty("dvl.switches", "few").equals("all");
  private static final List<Execution> SWITCHES = List.of(new Execution(true, true, 7), new Execution(false, true, 0),
      new Execution(true, true, 0), new Execution(false, false, 2));
  private static Device device;
  private static DiffusionVl f32;
  private static DiffusionVl bf16;

  @BeforeAll
  static void load() {
    device = Device.open(DeviceSpec.parse(System.getProperty("dvl.device", "auto")));
    f32 = DiffusionVl.load(device, BASE, DType.F32);
    bf16 = DiffusionVl.load(device, BASE, DType.BF16);
  }

  @AfterAll
  static void close() {
    f32.close();
    bf16.close();
    device.close();
  }

  /** One case of src/test/resources/golden-ar. */
  record Case(String name, JsonNode json, Request request) {
    static Case read(File folder) {
      try {
        JsonNode json = new ObjectMapper().readTree(new File(folder, "case.json"));
        List<RgbImage> images = json.get("images").valueStream().map(name -> ImageFiles.read(folder.toPath().resolve(name.asText())))
            .toList();
        List<Turn> turns = new ArrayList<>();
        for (JsonNode pair : json.get("history")) {
          turns.add(new Turn(true, pair.get(0).asText()));
          turns.add(new Turn(false, pair.get(1).asText()));
        }
        turns.add(new Turn(true, json.get("prompt").asText()));
        return new Case(folder.getName(), json, new Request(turns, images, null, PromptForm.of(f32.config())));
      } catch (IOException e) {
        throw new UncheckedIOException(e);
      }
    }

    int[] expected() {
      return GoldenCase.ints(json.get("expected").get("token_ids"));
    }

    GenerationOptions options() {
      return GenerationOptions.of(f32.config()).withGenLength(json.get("gen_length").asInt());
    }

    @Override
    public String toString() {
      return name;
    }
  }

  static List<Case> cases() {
    File[] folders = new File("src/test/resources/golden-ar").listFiles(File::isDirectory);
    return Arrays.stream(folders).sorted().map(Case::read).toList();
  }

  @ParameterizedTest
  @MethodSource("cases")
  void promptIdsAndPositions(Case golden) {
    try (Stream stream = device.newStream(); Gemm gemm = new Gemm(stream);
        ImageEncoder encoder = f32.vision().newEncoder(f32.kernels(), stream, gemm)) {
      PreparedPrompt prompt = PreparedPrompt.of(f32, encoder, golden.request, golden.options(), false);
      int[] ids = GoldenCase.ints(golden.json.get("prompt_ids"));
      int pad = f32.tokenizer().addedTokenId("<|image_pad|>").orElseThrow();
      int[] padded = Arrays.stream(prompt.ids()).map(id -> id < 0 ? pad : id).toArray();
      assertArrayEquals(ids, padded);
      int[][] axes = prompt.positions(ids.length + 2).axes();
      int next = golden.json.get("next_position").asInt();
      for (int axis = 0; axis < 3; axis++) {
        assertArrayEquals(GoldenCase.ints(golden.json.get("positions").get(axis)), Arrays.copyOf(axes[axis], ids.length), "axis " + axis);
        assertArrayEquals(new int[] {next, next + 1}, Arrays.copyOfRange(axes[axis], ids.length, ids.length + 2));
      }
      assertEquals(List.of(16, 24, 24), f32.config().mropeSection());
    }
  }

  @ParameterizedTest
  @MethodSource("cases")
  void everyTokenUnderEverySwitch(Case golden) {
    int[] expected = golden.expected();
    for (GemmChoice gemm : List.of(GemmChoice.CUBLAS, GemmChoice.OWN)) {
      try (Session session = f32.newSession(gemm)) {
        for (Execution execution : gemm == GemmChoice.CUBLAS || ALL ? SWITCHES : SWITCHES.subList(0, 1)) {
          String what = gemm + " " + execution;
          Trace trace = new Trace(execution.graphs());
          GenerationResult result = session.generate(golden.request, golden.options().withExecution(execution), trace);
          assertArrayEquals(expected, result.tokenIds(), what);
          assertEquals(golden.json.get("expected").get("text").asText(), result.text(), what);
          assertEquals(golden.json.get("expected").get("finish_reason").asText(), result.finishReason(), what);
          assertEquals(result.text(), trace.text.toString(), what);
          assertEquals(expected.length - 1, result.generatedTokens(), what);
          GenerationResult.Counts counts = result.counts();
          assertEquals(expected.length, counts.commits(), what);
          assertEquals(execution.fusedStore() ? 0 : 1, counts.prefill(), what);
          assertTrue(execution.speculate() == 0 ? counts.denoise() == expected.length : counts.denoise() <= expected.length, what + counts);
        }
      }
    }
  }

  /** Drafts pay where an answer repeats what was said: the scenes' sentences do. */
  @Test
  void draftsSavePasses() {
    Case golden = cases().getFirst();
    try (Session session = f32.newSession()) {
      GenerationOptions options = golden.options();
      int alone = session.generate(golden.request, options).counts().denoise();
      int drafted = session.generate(golden.request, options.withExecution(new Execution(true, true, 7))).counts().denoise();
      assertTrue(drafted < 0.9 * alone, drafted + " of " + alone + " passes");
    }
  }

  /** In bf16 with own products the switches change no bit. */
  static List<Case> fewCases() {
    return ALL ? cases() : List.of(cases().get(1), cases().get(3));
  }

  @ParameterizedTest
  @MethodSource("fewCases")
  void theSameBitsInBf16(Case golden) {
    try (Session session = bf16.newSession(GemmChoice.OWN)) {
      Trace first = null;
      for (Execution execution : SWITCHES) {
        Trace trace = new Trace(true);
        session.generate(golden.request, golden.options().withExecution(execution), trace);
        first = first == null ? trace : first;
        trace.assertSameAs(first, 0, golden + " " + execution);
      }
    }
  }

  @Test
  void lengthsAndEnds() {
    Case golden = cases().getFirst();
    try (Session session = f32.newSession()) {
      GenerationResult none = session.generate(golden.request, golden.options().withGenLength(0));
      assertArrayEquals(new int[0], none.tokenIds());
      for (int speculate : new int[] {0, 7}) {
        GenerationResult five = session.generate(golden.request, golden.options().withGenLength(5)
            .withExecution(new Execution(true, true, speculate)));
        assertArrayEquals(Arrays.copyOf(golden.expected(), 5), five.tokenIds());
        assertEquals("length", five.finishReason());
        assertEquals(5, five.generatedTokens());
      }
      GenerationResult cancelled = session.generate(golden.request, golden.options(), new GenerationListener() {
        private int steps;

        @Override
        public void onStep(int block, int step, List<Commit> committed) {
          steps++;
        }

        @Override
        public boolean isCancelled() {
          return steps == 3;
        }
      });
      assertEquals("cancelled", cancelled.finishReason());
      assertArrayEquals(Arrays.copyOf(golden.expected(), 3), cancelled.tokenIds());
    }
  }

  @Test
  void drawnTokens() {
    Case golden = cases().get(3);
    GenerationOptions drawn = golden.options().withGenLength(12).withSampling(2.5f, 0, 1).withSeed(5);
    try (Session session = f32.newSession()) {
      int[] first = session.generate(golden.request, drawn).tokenIds();
      assertArrayEquals(first, session.generate(golden.request, drawn.withExecution(new Execution(false, false, 0))).tokenIds());
      assertNotEquals(Arrays.toString(first), Arrays.toString(session.generate(golden.request, drawn.withSeed(6)).tokenIds()));
      assertArrayEquals(golden.expected(), session.generate(golden.request, golden.options().withSampling(2.5f, 1, 1)).tokenIds());
      assertArrayEquals(golden.expected(), session.generate(golden.request, golden.options().withSampling(1, 0, 1e-3f)).tokenIds());
      // A number of 0 takes the first id that is kept, whichever it is: each pass draws with a number of its own.
      List<double[]> numbers = new ArrayList<>();
      for (int i = 0; i < 12; i++) {
        numbers.add(new double[] {i == 0 ? 0 : 0.5});
      }
      int[] given = session.generate(golden.request, drawn.withSampling(1e4f, 0, 1).withUniforms(numbers)).tokenIds();
      assertEquals(0, given[0]);
      assertNotEquals(0, given[1]);
      assertThrows(IllegalArgumentException.class, () -> session.generate(golden.request, drawn.withSampling(1e4f, 0, 1)
          .withUniforms(numbers.subList(0, 1))));
    }
  }

  /** Many at once in an engine, drawn ones among them, with prompts in chunks and known beginnings: each as alone. */
  @ParameterizedTest
  @CsvSource({"0, true", "3, false"})
  void asAloneInAnEngine(int speculate, boolean graphs) {
    Execution execution = new Execution(graphs, true, speculate);
    List<GenerationOptions> options = new ArrayList<>();
    List<int[]> alone = new ArrayList<>();
    try (Session session = f32.newSession(GemmChoice.CUBLAS)) {
      for (Case golden : cases()) {
        options.add(options.size() % 3 == 2 ? golden.options().withSampling(1.5f, 0, 1).withSeed(options.size()) : golden.options());
        alone.add(session.generate(golden.request, options.getLast().withExecution(execution)).tokenIds());
      }
    }
    EngineOptions engineOptions = EngineOptions.DEFAULTS.withSlots(4).withGemm(GemmChoice.CUBLAS).withKvTokens(600).withPrefillRows(32)
        .withPrefixCacheBytes(1 << 24).withExecution(execution);
    try (Engine engine = f32.newEngine(engineOptions)) {
      for (int round = 0; round < 2; round++) {
        List<Generation> running = new ArrayList<>();
        for (int i = 0; i < alone.size(); i++) {
          running.add(engine.submit(cases().get(i).request, options.get(i), GenerationListener.NONE));
        }
        for (int i = 0; i < alone.size(); i++) {
          assertArrayEquals(alone.get(i), running.get(i).await().tokenIds(), "round " + round + ", request " + i);
        }
      }
      assertTrue(engine.stats().forwards() > 0);
    }
  }

  /** The logits of each row of the answer: from one causal pass over prompt and answer, and from a pass for each token. */
  @Test
  void onePassGivesTheLogitsOfSteps() {
    for (Case golden : List.of(cases().get(1), cases().get(3))) {
      for (GemmChoice gemm : List.of(GemmChoice.CUBLAS, GemmChoice.OWN)) {
        assertClose(logits(f32, gemm, golden, true), logits(f32, gemm, golden, false), 1e-5);
      }
      assertArrayEquals(logits(bf16, GemmChoice.OWN, golden, true), logits(bf16, GemmChoice.OWN, golden, false), golden.name);
    }
  }

  private static void assertClose(float[] expected, float[] actual, double tolerance) {
    double largest = 0;
    for (float value : expected) {
      largest = Math.max(largest, Math.abs(value));
    }
    for (int i = 0; i < expected.length; i++) {
      assertEquals(expected[i], actual[i], tolerance * largest, "logit " + i);
    }
  }

  /** Of the prompt's last row and the answer's rows but the last. */
  private static float[] logits(DiffusionVl model, GemmChoice choice, Case golden, boolean atOnce) {
    return logits(model, choice, golden, golden.expected(), atOnce);
  }

  private static float[] logits(DiffusionVl model, GemmChoice choice, Case golden, int[] answer, boolean atOnce) {
    int hidden = model.config().text().hiddenSize();
    int vocab = model.config().text().vocabSize();
    try (Stream stream = device.newStream(); Gemm gemm = new Gemm(stream);
        LayerOpsFactory factory = new LayerOpsFactory(model.config().text(), stream, gemm, choice, false);
        ImageEncoder encoder = model.vision().newEncoder(model.kernels(), stream, gemm);
        PrefixCache nothing = new PrefixCache(stream, model.dtype(), hidden, 0)) {
      PreparedPrompt prompt = PreparedPrompt.of(model, encoder, golden.request, golden.options(), false);
      int before = prompt.plan().length() - 1; // the last row of the prompt gives the first token
      int rows = before + answer.length;
      try (DeviceBuffer embeddings = device.allocate("embeddings", model.dtype(), before + 1, hidden);
          KvCache cache = new KvCache(device, model.dtype(), KvChoice.AUTO, model.config().text(), rows);
          RopeTable rope = RopeTable.open(device, stream, rows, model.config().text().headDim());
          Transformer transformer = new Transformer(model.dtype(), model.config().text(), model.text(), model.kernels(), stream, factory,
              rows, answer.length, 1, 1, rows);
          Segments segments = new Segments(device, 2);
          DeviceBuffer tokens = device.allocate("tokens", DType.I32, answer.length)) {
        rope.place(stream, 0, prompt.positions(rows), model.config().mropeSection(), model.config().text().ropeTheta());
        prompt.embed(model, stream, GenerationEvents.of(model, prompt, GenerationListener.NONE), nothing, embeddings);
        tokens.set(stream, answer);
        float[] all = new float[answer.length * vocab];
        for (int from = 0; from < answer.length; from += atOnce ? answer.length : 1) {
          int count = atOnce ? answer.length : 1;
          int first = from == 0 ? before : 0; // rows of the prompt in the pass
          segments.clear();
          if (from == 0) {
            segments.add(0, before, 0, 0, 0, 0, Segments.Own.CAUSAL);
          }
          segments.add(first, count, before + from, before + from, 0, before + from, Segments.Own.CAUSAL);
          segments.upload(stream);
          if (from == 0) {
            stream.copy(embeddings, transformer.hidden());
            transformer.embed(tokens, null, null, before + 1, count - 1);
          } else {
            transformer.embed(tokens.slice(from - 1, 1), null, null, 0, 1);
          }
          Segments scored = segments.view(segments.count() - 1, 1);
          transformer.forward(new Transformer.PassParts(segments, segments.view(0, segments.count() - 1), scored, scored), cache, rope);
          transformer.computeLogits(0, count);
          float[] logits = transformer.logits().getFloats(stream);
          System.arraycopy(logits, 0, all, from * vocab, count * vocab);
        }
        return all;
      }
    }
  }

  /**
   * Each token is the most likely one once the logits of those before it, in prompt and answer, are weighed: computed here in doubles from
   * one causal pass over the answer, which knows nothing of the penalty.
   */
  @ParameterizedTest
  @CsvSource({"4, true", "1.05, false", "0.25, true"})
  void repetitionPenalty(float penalty, boolean graphs) {
    for (Case golden : List.of(cases().get(1), cases().get(3))) {
      GenerationOptions options = golden.options().withGenLength(16).withDecoding(new Decoding.Autoregressive(penalty));
      int[] answer;
      try (Session session = f32.newSession(GemmChoice.CUBLAS)) {
        session.generate(golden.request, options.withGenLength(4)); // its passes are of the same shapes
        answer = session.generate(golden.request, options.withExecution(new Execution(graphs, true, 3))).tokenIds();
        assertArrayEquals(golden.expected(), session.generate(golden.request, golden.options().withDecoding(new Decoding.Autoregressive(1)))
            .tokenIds());
      }
      assertEquals(penalty != 1.05f, !Arrays.equals(answer, Arrays.copyOf(golden.expected(), answer.length)), Arrays.toString(answer));
      requirePenalised(f32, GemmChoice.CUBLAS, golden, answer, penalty, 1e-4);
    }
  }

  /** The same where logits have 16 bits, which a row's own products make the same in every pass. */
  @Test
  void repetitionPenaltyInSixteenBits() {
    Case golden = cases().getFirst();
    GenerationOptions options = golden.options().withGenLength(24).withDecoding(new Decoding.Autoregressive(4));
    try (DiffusionVl f16 = DiffusionVl.load(device, BASE, DType.F16)) {
      for (DiffusionVl model : List.of(bf16, f16)) {
        try (Session session = model.newSession(GemmChoice.OWN)) {
          int[] answer = session.generate(golden.request, options).tokenIds();
          requirePenalised(model, GemmChoice.OWN, golden, answer, 4, model.dtype() == DType.F16 ? 1e-3 : 8e-3);
        }
      }
    }
  }

  /** Each token is the most likely one behind those before it. @param tolerance relative, of a logit's rounding */
  private static void requirePenalised(DiffusionVl model, GemmChoice gemm, Case golden, int[] answer, float penalty, double tolerance) {
    int vocab = model.config().text().vocabSize();
    float[] logits = logits(model, gemm, golden, answer, true);
    Set<Integer> seen = new HashSet<>();
    Arrays.stream(GoldenCase.ints(golden.json.get("prompt_ids"))).forEach(seen::add);
    seen.remove(model.tokenizer().addedTokenId("<|image_pad|>").orElseThrow());
    for (int i = 0; i < answer.length; i++) {
      double most = Double.NEGATIVE_INFINITY;
      double chosen = 0;
      for (int id = 0; id < vocab; id++) {
        double logit = logits[i * vocab + id];
        double weighed = !seen.contains(id) ? logit : logit < 0 ? logit * penalty : logit / penalty;
        most = Math.max(most, weighed);
        chosen = id == answer[i] ? weighed : chosen;
      }
      assertEquals(most, chosen, tolerance * Math.abs(most),
          golden + ", " + model.dtype() + ", token " + i + " of " + Arrays.toString(answer));
      seen.add(answer[i]);
    }
  }

  /** A penalty changes the answer, is its own sequence's alone in an engine, and works where tokens are drawn and in bf16. */
  @Test
  void repetitionPenaltyIsASequencesOwn() {
    Case golden = cases().getFirst();
    GenerationOptions plain = golden.options().withGenLength(24);
    List<GenerationOptions> options = new ArrayList<>();
    for (float penalty : new float[] {1, 4, 40}) {
      options.add(plain.withDecoding(new Decoding.Autoregressive(penalty)));
    }
    options.add(options.get(2).withSampling(0.7f, 0, 1).withSeed(3));
    for (DiffusionVl model : List.of(f32, bf16)) {
      GemmChoice gemm = model == f32 ? GemmChoice.CUBLAS : GemmChoice.OWN;
      List<int[]> alone = new ArrayList<>();
      try (Session session = model.newSession(gemm)) {
        options.forEach(o -> alone.add(session.generate(golden.request, o).tokenIds()));
      }
      for (int i = 1; i < alone.size(); i++) {
        assertNotEquals(Arrays.toString(alone.get(i - 1)), Arrays.toString(alone.get(i)));
      }
      assertTrue(Arrays.stream(alone.get(1)).distinct().count() > Arrays.stream(alone.get(0)).distinct().count(), "it repeats less");
      if (model == f32 || ALL) {
        try (Engine engine = model.newEngine(EngineOptions.DEFAULTS.withSlots(4).withGemm(gemm).withKvTokens(900))) {
          List<Generation> running = options.stream().map(o -> engine.submit(golden.request, o, GenerationListener.NONE)).toList();
          for (int i = 0; i < alone.size(); i++) {
            assertArrayEquals(alone.get(i), running.get(i).await().tokenIds(), "request " + i);
          }
        }
      }
    }
    for (float bad : new float[] {0, -1, Float.NaN, Float.POSITIVE_INFINITY}) {
      assertThrows(IllegalArgumentException.class, () -> new Decoding.Autoregressive(bad));
    }
  }

  @Test
  void theFirstLogitsAreTheRecordedOnes() {
    for (Case golden : cases()) {
      float[] logits = logits(f32, GemmChoice.CUBLAS, golden, true);
      for (JsonNode pair : golden.json.get("first_logits_top5")) {
        assertEquals(pair.get(1).asDouble(), logits[pair.get(0).asInt()], 1e-3, golden.name + ", id " + pair.get(0));
      }
    }
  }

  @Test
  void imagesAreWhereTheFirstQuestionIs() {
    Case turns = cases().get(4);
    int[] ids = ChatPrompt.tokens(f32.tokenizer(), turns.request.form(), null, turns.request.turns(), 1);
    int image = 0;
    while (ids[image] != ChatPrompt.IMAGE) {
      image++;
    }
    assertTrue(f32.tokenizer().decode(Arrays.copyOf(ids, image)).endsWith("user\n"), "the image comes first in the first turn");
  }
}
