// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.model;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertSame;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.diffusionvl.loader.BadInputException;
import dev.diffusionvl.loader.ChatPrompt.Turn;
import dev.diffusionvl.loader.ImageFiles;
import dev.diffusionvl.loader.ModelFiles;
import dev.diffusionvl.loader.PromptForm;
import dev.diffusionvl.loader.RgbImage;
import dev.diffusionvl.model.DiffusionVl;
import dev.diffusionvl.model.BlockPreview;
import dev.diffusionvl.model.GenerationListener;
import dev.diffusionvl.model.GenerationOptions;
import dev.diffusionvl.model.GenerationResult;
import dev.diffusionvl.model.LoadListener;
import dev.diffusionvl.model.MemoryNeed;
import dev.diffusionvl.model.PromptLimitException;
import dev.diffusionvl.model.Request;
import dev.diffusionvl.model.Session;
import dev.diffusionvl.runtime.DType;
import dev.diffusionvl.runtime.Device;
import dev.diffusionvl.runtime.DeviceSpec;
import dev.diffusionvl.runtime.LeakTracker;
import dev.diffusionvl.runtime.OutOfDeviceMemoryException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.atomic.AtomicBoolean;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;

/** Requests, listeners, cancelling, threads and what sessions leave behind: nothing. */
class SessionTest {
  private static final RgbImage SQUARE = ImageFiles.read(Path.of("samples/images/yellow-square.png"));
  private static final RgbImage TRIANGLE = ImageFiles.read(Path.of("samples/images/triangle-and-cross.png"));
  private static final Request DESCRIBE = Request.of("Describe this image.", TRIANGLE);
  private static final GenerationOptions SHORT = GenerationOptions.DEFAULTS.withGenLength(16);

  private static Device device;
  private static DiffusionVl model;

  @BeforeAll
  static void load() {
    device = Device.open(DeviceSpec.parse(System.getProperty("dvl.device", "auto")));
    model = DiffusionVl.load(device, Path.of("samples/models/diffusionvl-tiny"), DType.F32);
  }

  @AfterAll
  static void close() {
    model.close();
    device.close();
  }

  private static GenerationResult generate(Request request, GenerationOptions options, GenerationListener listener) {
    try (Session session = model.newSession()) {
      return session.generate(request, options, listener);
    }
  }

  /** The builder's prompts in the words of docs/model.md, "Prompt". */
  @Test
  void builtRequestsAreTheDocumentedPrompts() {
    Request one = Request.builder().image(SQUARE).text("What is this?").build();
    assertEquals(List.of(new Turn(true, "<image>\nWhat is this?")), one.turns());
    Request several = Request.builder().image(SQUARE).image(TRIANGLE).text("Compare ").text("them.").build();
    assertEquals(List.of(new Turn(true, "<image> <image>\nCompare them.")), several.turns());
    Request qwen = Request.builder(PromptForm.QWEN_VL).image(SQUARE).image(TRIANGLE).text("Compare.").build();
    assertEquals(List.of(new Turn(true, "<image><image>Compare.")), qwen.turns());
    Request history = Request.builder().system("Be brief.").text("Before ").image(SQUARE).text(" and after ").image(TRIANGLE)
        .assistant("Yes.").image(SQUARE).text("And this?").build();
    assertEquals(List.of(new Turn(true, "Before <image> and after <image>"), new Turn(false, "Yes."),
        new Turn(true, "<image>\nAnd this?")), history.turns());
    assertEquals(List.of(SQUARE, TRIANGLE, SQUARE), history.images());
    assertEquals("Be brief.", history.system());
    assertThrows(IllegalStateException.class, () -> Request.builder().assistant("Hm."));
    assertThrows(IllegalStateException.class, () -> Request.builder().text("Well?").assistant("Hm.").build());
  }

  @Test
  void theBuilderGivesWhatTheShortFormsGive() {
    GenerationResult shortForm = generate(DESCRIBE, SHORT, GenerationListener.NONE);
    GenerationResult built =
        generate(Request.builder().image(TRIANGLE).text("Describe this image.").build(), SHORT, GenerationListener.NONE);
    assertArrayEquals(shortForm.tokenIds(), built.tokenIds());
    assertEquals(shortForm.promptTokens(), built.promptTokens());
  }

  /** An image counts where it stands: the places of two images exchanged is another prompt, history is part of the prompt. */
  @Test
  void interleavedImagesAndHistoryReachTheModel() {
    Request ab = Request.builder().text("A: ").image(SQUARE).text(" B: ").image(TRIANGLE).text(" Describe A.").build();
    GenerationResult result = generate(ab, SHORT, GenerationListener.NONE);
    assertEquals(64 + 60, result.imageTokens());
    Request ba = Request.builder().text("A: ").image(TRIANGLE).text(" B: ").image(SQUARE).text(" Describe A.").build();
    assertNotEquals(result.text(), generate(ba, SHORT, GenerationListener.NONE).text());
    Request longer = Request.builder().text("A: ").image(SQUARE).text(" B: ").image(TRIANGLE).text(" Describe A.")
        .assistant("The square is yellow.").text("And B?").build();
    assertTrue(generate(longer, SHORT, GenerationListener.NONE).promptTokens() > result.promptTokens() + 10);
    int plain = generate(Request.of("Hello!"), SHORT, GenerationListener.NONE).promptTokens();
    int briefed = generate(Request.builder().system("Hi").text("Hello!").build(), SHORT, GenerationListener.NONE).promptTokens();
    assertTrue(briefed < plain, briefed + " tokens with a shorter system text, " + plain + " with the usual one");
  }

  @Test
  void requestsThatCannotBeAreRefused() {
    try (Session session = model.newSession()) {
      Request noImage = Request.of("What is in <image>?");
      assertTrue(assertThrows(BadInputException.class, () -> session.generate(noImage, SHORT)).getMessage().contains("0 images"));
      Request order = new Request(List.of(new Turn(false, "Hello.")), List.of(), null, PromptForm.OFFICIAL);
      assertTrue(assertThrows(BadInputException.class, () -> session.generate(order, SHORT)).getMessage().contains("turn 1"));
      Request none = new Request(List.of(), List.of(), null, PromptForm.OFFICIAL);
      assertThrows(BadInputException.class, () -> session.generate(none, SHORT));
      RgbImage line = new RgbImage(20_000, 10, new byte[600_000]);
      Request thin = Request.of("What is this?", line);
      assertTrue(assertThrows(BadInputException.class, () -> session.generate(thin, SHORT)).getMessage().contains("200 times"));
      Request endless = Request.of("Hello! ".repeat(600));
      assertThrows(PromptLimitException.class, () -> session.generate(endless, SHORT));
      // and the session is as good as before
      assertEquals("The square is yellow.", session.generate(Request.of("What color is the square?", SQUARE), SHORT).text());
    }
  }

  /** Final text grows by whole blocks; previews hold the same tokens and end as the final text does. */
  @Test
  void textIsFinalAndPreviewsAreProvisional() {
    StringBuilder text = new StringBuilder();
    List<String> shown = new ArrayList<>();
    List<GenerationListener.Progress> progress = new ArrayList<>();
    GenerationResult result = generate(DESCRIBE, GenerationOptions.DEFAULTS, new GenerationListener() {
      private int[] last = {};

      @Override
      public void onText(String piece) {
        text.append(piece);
      }

      @Override
      public void onPreview(BlockPreview preview) {
        int[] ids = preview.tokenIds();
        if (preview.step() > 0 && last.length == ids.length) {
          for (int i = 0; i < ids.length; i++) {
            assertTrue(last[i] == model.config().maskTokenId() || last[i] == ids[i], "a committed token changed");
          }
        }
        last = ids;
        shown.add(text + preview.text("_"));
      }

      @Override
      public void onProgress(Progress p) {
        progress.add(p);
      }
    });
    assertEquals(result.text(), text.toString());
    assertEquals(result.text(), shown.getLast());
    assertTrue(shown.stream().anyMatch(s -> s.contains("_")), shown.toString());
    assertEquals(GenerationListener.Phase.VISION, progress.getFirst().phase());
    assertEquals(new GenerationListener.Progress(GenerationListener.Phase.PREFILL, result.promptTokens() / 8 * 8,
        result.promptTokens() / 8 * 8), progress.get(1));
    int done = 0;
    for (GenerationListener.Progress p : progress.subList(2, progress.size())) {
      assertTrue(p.done() > done && p.done() <= p.total(), p.toString());
      assertEquals(GenerationOptions.DEFAULTS.genLength(), p.total());
      done = p.done();
    }
    assertTrue(done > result.generatedTokens(), "tokens behind the end of text count as done too");
  }

  /** Cancelled after each number of steps in turn: the text is that of the finished blocks, and nothing is left. */
  @Test
  void aListenerCancels() {
    String whole = generate(DESCRIBE, GenerationOptions.DEFAULTS, GenerationListener.NONE).text();
    long free = device.memory().free();
    int cancelled = 0;
    for (int steps : new int[] {0, 1, 8, 9, 1000}) {
      StringBuilder text = new StringBuilder();
      GenerationResult result = generate(DESCRIBE, GenerationOptions.DEFAULTS, new GenerationListener() {
        private int seen;

        @Override
        public void onStep(int block, int step, List<Commit> committed) {
          seen++;
        }

        @Override
        public void onText(String piece) {
          text.append(piece);
        }

        @Override
        public boolean isCancelled() {
          return seen >= steps;
        }
      });
      assertEquals(text.toString(), result.text());
      assertTrue(whole.startsWith(result.text()), result.text());
      assertEquals(GenerationOptions.DEFAULTS.genLength(), result.tokenIds().length);
      if (steps == 0) {
        assertEquals("", result.text());
        assertEquals(0, result.counts().forwards());
      }
      boolean complete = result.finishReason().equals("eos");
      assertEquals(complete ? "eos" : "cancelled", result.finishReason());
      cancelled += complete ? 0 : 1;
      int mask = model.config().maskTokenId();
      int filled = (int) Arrays.stream(result.tokenIds()).filter(id -> id != mask).count();
      assertTrue(complete || filled == result.generatedTokens(), filled + " ids, " + result.generatedTokens() + " tokens");
    }
    assertTrue(cancelled >= 3, cancelled + " of 5 cancelled");
    assertEquals(free, device.memory().free());
  }

  @Test
  void anotherThreadCancels() throws Exception {
    AtomicBoolean stop = new AtomicBoolean();
    CountDownLatch running = new CountDownLatch(1);
    try (ExecutorService thread = Executors.newSingleThreadExecutor(); Session session = model.newSession()) {
      Future<GenerationResult> result = thread.submit(() -> session.generate(DESCRIBE, GenerationOptions.DEFAULTS,
          new GenerationListener() {
            @Override
            public void onStep(int block, int step, List<Commit> committed) {
              running.countDown();
              while (!stop.get()) {
                Thread.onSpinWait(); // held here until the other thread has cancelled
              }
            }

            @Override
            public boolean isCancelled() {
              return stop.get();
            }
          }));
      running.await();
      assertThrows(IllegalStateException.class, () -> session.generate(DESCRIBE, SHORT), "a second thread in a session");
      assertThrows(IllegalStateException.class, session::close, "closing while generating");
      stop.set(true);
      assertEquals("cancelled", result.get().finishReason());
      assertFalse(session.generate(DESCRIBE, SHORT).text().isEmpty(), "a session goes on after a cancelled request");
    }
  }

  @Test
  void whatAListenerThrowsReachesTheCallerAndNothingIsLeft() {
    long free = device.memory().free();
    int handles = LeakTracker.openHandles();
    IllegalArgumentException own = new IllegalArgumentException("own");
    IllegalArgumentException thrown = assertThrows(IllegalArgumentException.class, () -> generate(DESCRIBE, SHORT,
        new GenerationListener() {
          @Override
          public void onPreview(BlockPreview preview) {
            throw own;
          }
        }));
    assertSame(own, thrown);
    assertEquals(free, device.memory().free());
    assertEquals(handles, LeakTracker.openHandles());
  }

  @Test
  void aClosedSessionOrModelIsRefused() {
    Session session = model.newSession();
    session.close();
    session.close();
    assertTrue(assertThrows(IllegalStateException.class, () -> session.generate(DESCRIBE, SHORT)).getMessage().contains("closed"));
  }

  /** Of weights exactly, but for the rounding of each buffer; of a generation at least the cache. */
  @Test
  void theStatedMemoryIsWhatIsUsed() {
    Path folder = Path.of("samples/models/diffusionvl-tiny");
    long free = device.memory().free();
    try (ModelFiles files = ModelFiles.open(folder)) {
      MemoryNeed need = MemoryNeed.of(files, DType.BF16, DESCRIBE, SHORT);
      try (DiffusionVl second = DiffusionVl.load(device, files, DType.BF16, LoadListener.NONE)) {
        long weights = free - device.memory().free();
        assertTrue(weights >= need.weights() && weights < 1.05 * need.weights(), weights + " bytes are used, stated are " + need);
        try (Session session = second.newSession()) {
          session.generate(DESCRIBE, SHORT);
          long cache = free - device.memory().free() - weights;
          assertTrue(cache >= need.cache(), cache + " bytes are used, stated are " + need);
        }
      }
      assertEquals(free, device.memory().free());
      MemoryNeed tooMuch = new MemoryNeed(need.weights(), free, 0);
      OutOfDeviceMemoryException e = assertThrows(OutOfDeviceMemoryException.class, () -> tooMuch.requireFree(device));
      assertEquals(tooMuch.total(), e.need());
      assertEquals(free, e.free());
    }
  }

  @Test
  void twoHundredSessionsLeaveNoDeviceMemory() {
    Request hello = Request.of("Hello!");
    GenerationOptions brief = GenerationOptions.DEFAULTS.withGenLength(8).withSteps(1);
    generate(hello, brief, GenerationListener.NONE);
    long free = device.memory().free();
    int handles = LeakTracker.openHandles();
    for (int i = 0; i < 200; i++) {
      try (Session session = model.newSession()) {
        if (i % 20 == 0) {
          session.generate(i % 100 == 0 ? DESCRIBE : hello, brief);
        }
      }
    }
    assertEquals(0, free - device.memory().free(), "bytes left");
    assertEquals(handles, LeakTracker.openHandles());
  }

  private static List<int[]> answers(List<Request> requests) {
    List<int[]> answers = new ArrayList<>();
    try (Session session = model.newSession()) {
      for (int i = 0; i < requests.size(); i++) {
        GenerationOptions options = i % 2 == 0 ? SHORT : SHORT.withSampling(0.8f, 0, 0.9f).withSeed(5);
        answers.add(session.generate(requests.get(i), options).tokenIds());
      }
    }
    return answers;
  }

  @Test
  void twoThreadsGiveTheTokensOfOneAfterTheOther() throws Exception {
    List<Request> requests = List.of(DESCRIBE, Request.of("What color is the square?", SQUARE), Request.of("Hello!"));
    List<int[]> alone = answers(requests);
    try (ExecutorService threads = Executors.newFixedThreadPool(2)) {
      List<Future<List<int[]>>> both = List.of(threads.submit(() -> answers(requests)), threads.submit(() -> answers(requests)));
      for (Future<List<int[]>> answers : both) {
        for (int i = 0; i < alone.size(); i++) {
          assertArrayEquals(alone.get(i), answers.get().get(i), "request " + i);
        }
      }
    }
  }
}
