// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.model;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.diffusionvl.loader.ImageFiles;
import dev.diffusionvl.loader.RgbImage;
import dev.diffusionvl.model.DiffusionVl;
import dev.diffusionvl.model.Engine;
import dev.diffusionvl.model.EngineOptions;
import dev.diffusionvl.model.Generation;
import dev.diffusionvl.model.Execution;
import dev.diffusionvl.model.BlockPreview;
import dev.diffusionvl.model.GenerationListener;
import dev.diffusionvl.model.GenerationOptions;
import dev.diffusionvl.model.GenerationOptions.Remasking;
import dev.diffusionvl.model.GenerationResult;
import dev.diffusionvl.model.Request;
import dev.diffusionvl.model.Session;
import dev.diffusionvl.model.constraint.Constraint;
import dev.diffusionvl.runtime.DType;
import dev.diffusionvl.runtime.Device;
import dev.diffusionvl.runtime.DeviceSpec;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.atomic.AtomicBoolean;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;

/** The examples of the Javadoc, which are regions of these tests; from another package, so public API is all they have. */
class ApiExamplesTest {
  private static final String FOLDER = "samples/models/diffusionvl-tiny";
  private static final Path SQUARE = Path.of("samples/images/yellow-square.png");
  private static final Path TRIANGLE = Path.of("samples/images/triangle-and-cross.png");

  private static Device device;
  private static DiffusionVl model;

  @BeforeAll
  static void load() {
    device = Device.open(DeviceSpec.parse(System.getProperty("dvl.device", "auto")));
    model = DiffusionVl.load(device, Path.of(FOLDER), DType.F32);
  }

  @AfterAll
  static void close() {
    model.close();
    device.close();
  }

  @Test
  void constraint() {
    Request question = Request.of("What is in this picture?", ImageFiles.read(SQUARE));
    // @start region=constraint
    record Drawing(String colour, int shapes) {}
    try (Session session = model.newSession()) {
      GenerationOptions options = GenerationOptions.DEFAULTS.withConstraint(Constraint.of(Drawing.class));
      Drawing drawing = session.generate(question, options).as(Drawing.class);
      System.out.println(drawing.shapes() + " shapes, " + drawing.colour());
    }
    // @end
  }

  @Test
  void engine() {
    Request one = Request.of("What is in this picture?", ImageFiles.read(SQUARE));
    Request other = Request.of("Hello!");
    GenerationOptions options = GenerationOptions.DEFAULTS.withGenLength(16);
    // @start region=engine
    try (Engine engine = model.newEngine(EngineOptions.DEFAULTS.withSlots(8).withKvTokens(4096))) {
      Generation first = engine.submit(one, options, GenerationListener.NONE);
      Generation second = engine.submit(other, options, GenerationListener.NONE); // shares the passes of the first
      System.out.println(first.await().text());
      System.out.println(second.await().text());
    }
    // @end
  }

  @Test
  void question() {
    Path file = SQUARE;
    // @start region=question
    try (Device device = Device.open(DeviceSpec.AUTO); // @replace region regex='FOLDER' replacement='"path/to/model"'
        DiffusionVl model = DiffusionVl.load(device, Path.of(FOLDER), DType.BF16);
        Session session = model.newSession()) {
      // @end
      RgbImage image = ImageFiles.read(file);
      GenerationResult result = session.generate(Request.of("What color is the square?", image), GenerationOptions.DEFAULTS);
      System.out.println(result.text());
      // @end
      assertEquals("The square is yellow.", result.text());
    }
  }

  @Test
  void request() {
    RgbImage first = ImageFiles.read(SQUARE);
    RgbImage second = ImageFiles.read(TRIANGLE);
    String answer;
    try (Session session = model.newSession()) {
      // @start region=request
      Request request = Request.builder()
          .system("You compare pictures.")
          .text("The first: ").image(first).text("\nThe second: ").image(second).text("\nWhat differs?")
          .assistant("The first shows a square, the second does not.")
          .text("What color is it?")
          .build();
      // @end
      answer = session.generate(request, GenerationOptions.DEFAULTS.withGenLength(16)).text();
      assertEquals(answer, session.generate(request, GenerationOptions.DEFAULTS.withGenLength(16)).text());
    }
  }

  @Test
  void listener() {
    Request request = Request.of("Describe this image.", ImageFiles.read(TRIANGLE));
    List<String> screen = new ArrayList<>();
    try (Session session = model.newSession()) {
      GenerationOptions options = GenerationOptions.DEFAULTS;
      // @start region=listener
      AtomicBoolean stop = new AtomicBoolean(); // set by a button, say
      GenerationListener listener = new GenerationListener() {
        private final StringBuilder text = new StringBuilder();

        @Override
        public void onText(String piece) {
          text.append(piece);
        }

        @Override
        public void onPreview(BlockPreview preview) {
          screen.add(text + preview.text("_"));
        }

        @Override
        public boolean isCancelled() {
          return stop.get();
        }
      };
      GenerationResult result = session.generate(request, options, listener);
      // @end
      assertTrue(screen.getFirst().contains("_"), screen.getFirst());
      assertEquals(result.text(), screen.getLast());
    }
  }

  @Test
  void options() {
    // @start region=options
    GenerationOptions fast = GenerationOptions.DEFAULTS.withRemasking(Remasking.LOW_CONFIDENCE_DYNAMIC, 0.9f);
    GenerationOptions varied = GenerationOptions.DEFAULTS.withGenLength(64).withSampling(0.7f, 50, 0.95f).withSeed(42);
    // @end
    assertEquals(Sampling.GREEDY, fast.sampling());
    assertEquals(new Decoding.Block(0, 8, Remasking.LOW_CONFIDENCE_DYNAMIC, 0.9f), fast.decoding());
    assertEquals(new GenerationOptions(64, Decoding.Block.DEFAULTS, new Sampling(0.7f, 50, 0.95f, 42, null), false, Execution.DEFAULTS,
            null),
        varied);
  }

  @Test
  void threads() throws Exception {
    List<RgbImage> images = List.of(ImageFiles.read(SQUARE), ImageFiles.read(TRIANGLE));
    List<String> answers = new ArrayList<>();
    // @start region=threads
    try (ExecutorService threads = Executors.newFixedThreadPool(2)) {
      List<Future<String>> futures = new ArrayList<>();
      for (RgbImage image : images) {
        futures.add(threads.submit(() -> {
          try (Session session = model.newSession()) {
            return session.generate(Request.of("Describe this image.", image), GenerationOptions.DEFAULTS).text();
          }
        }));
      }
      for (Future<String> future : futures) {
        answers.add(future.get());
      }
    }
    // @end
    try (Session session = model.newSession()) {
      for (int i = 0; i < images.size(); i++) {
        Request request = Request.of("Describe this image.", images.get(i));
        assertEquals(session.generate(request, GenerationOptions.DEFAULTS).text(), answers.get(i));
      }
    }
  }
}
