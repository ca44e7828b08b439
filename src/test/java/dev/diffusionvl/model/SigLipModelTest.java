// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.model;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.diffusionvl.loader.ChatPrompt;
import dev.diffusionvl.loader.ImageTiles;
import dev.diffusionvl.loader.ModelConfig;
import dev.diffusionvl.loader.ModelFamily;
import dev.diffusionvl.loader.RgbImage;
import dev.diffusionvl.loader.SigLipImageProcessor;
import dev.diffusionvl.oracle.BlockDiffusionOracle;
import dev.diffusionvl.oracle.SamplingOracle;
import dev.diffusionvl.oracle.SigLipOracle;
import dev.diffusionvl.oracle.TensorMap;
import dev.diffusionvl.runtime.DType;
import dev.diffusionvl.runtime.Device;
import dev.diffusionvl.runtime.DeviceBuffer;
import dev.diffusionvl.runtime.DeviceSpec;
import dev.diffusionvl.runtime.Gemm;
import dev.diffusionvl.runtime.Stream;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Comparator;
import java.util.List;
import java.util.SplittableRandom;
import java.util.stream.IntStream;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** The SigLIP family from image to token against float64 oracles, on a tiny random checkpoint. */
class SigLipModelTest {
  private static final int MAX_TILES = 4;
  private static final double F32_TOLERANCE = 1e-5;
  private static final double BF16_TOLERANCE = 3e-2;

  @TempDir private static Path temp;
  private static Device device;
  private static DiffusionVl f32;
  private static DiffusionVl bf16;
  private static SigLipOracle vision;
  private static BlockDiffusionOracle text;

  @BeforeAll
  static void load() {
    Path folder = temp.resolve("tiny-siglip");
    SigLipCheckpoint.write(folder);
    device = Device.open(DeviceSpec.parse(System.getProperty("dvl.device", "auto")));
    f32 = DiffusionVl.load(device, folder, DType.F32);
    bf16 = DiffusionVl.load(device, folder, DType.BF16);
    TensorMap weights = SigLipCheckpoint.read(folder);
    vision = new SigLipOracle(f32.config().sigLip(), weights);
    text = new BlockDiffusionOracle(f32.config().text(), weights, f32.config().maskTokenId(), f32.config().eosTokenId());
  }

  @AfterAll
  static void close() {
    f32.close();
    bf16.close();
    device.close();
  }

  /** Soft colours with a little noise, so that neighbouring tiles differ. */
  private static RgbImage image(int width, int height) {
    SplittableRandom random = new SplittableRandom(31L * width + height);
    byte[] rgb = new byte[3 * width * height];
    for (int i = 0; i < rgb.length; i++) {
      double wave = Math.sin(i / 3 % width * 0.11 + i % 3) + Math.cos(i / 3 / width * 0.07);
      rgb[i] = (byte) Math.clamp((long) (128 + 50 * wave + 20 * random.nextGaussian()), 0, 255);
    }
    return new RgbImage(width, height, rgb);
  }

  @Test
  void theCheckpointChoosesTheFamily() {
    assertEquals(ModelFamily.QWEN_SIGLIP, f32.config().family());
    assertTrue(f32.vision() instanceof SigLipTower);
  }

  @ParameterizedTest
  @CsvSource({"62,62", "100,60", "40,130", "373,91"})
  void tilesAreTheOracles(int width, int height) {
    List<double[]> expected = vision.anyresTiles(image(width, height));
    ImageTiles tiles = new SigLipImageProcessor(f32.config()).process(List.of(image(width, height))).getFirst();
    assertEquals(expected.size(), tiles.tiles());
    int each = tiles.pixels().length / tiles.tiles();
    for (int t = 0; t < tiles.tiles(); t++) {
      assertPixels(expected.get(t), Arrays.copyOfRange(tiles.pixels(), t * each, (t + 1) * each));
    }
  }

  @Test
  void severalImagesAreSquares() {
    List<ImageTiles> two = new SigLipImageProcessor(f32.config()).process(List.of(image(100, 61), image(30, 77)));
    assertPixels(vision.padTile(image(100, 61)), two.get(0).pixels());
    assertPixels(vision.padTile(image(30, 77)), two.get(1).pixels());
    for (ImageTiles tiles : two) {
      assertEquals(1, tiles.tiles());
      assertEquals(17, tiles.rows().rows());
    }
  }

  private static void assertPixels(double[] expected, float[] actual) {
    assertEquals(expected.length, actual.length);
    for (int i = 0; i < expected.length; i++) {
      assertEquals(expected[i], actual[i], 1e-6, "value " + i);
    }
  }

  /** 9 tiles are two passes of the tower; their features must not depend on it. */
  @Test
  void featuresOfEveryTile() {
    ImageTiles tiles = new SigLipImageProcessor(f32.config()).process(List.of(image(373, 91))).getFirst();
    assertEquals(13, tiles.tiles());
    List<double[]> expected = vision.anyresTiles(image(373, 91));
    for (DiffusionVl model : List.of(f32, bf16)) {
      SigLipTower tower = (SigLipTower) model.vision();
      int positions = model.config().sigLip().positions();
      try (Stream stream = device.newStream();
          Gemm gemm = new Gemm(stream);
          PatchEmbedding patches = new PatchEmbedding.ByProduct(model.config().sigLip(), tower.weights().patchEmbedding().weight(),
              model.kernels(), stream, gemm, 3);
          SigLipVision own = new SigLipVision(model.config().sigLip(), tower.weights(), model.kernels(), stream, gemm, patches, 3);
          DeviceBuffer features = device.allocate("features", model.dtype(), 3 * positions, model.config().text().hiddenSize())) {
        for (int first = 0; first < tiles.tiles(); first += 3) {
          int count = Math.min(3, tiles.tiles() - first);
          own.encode(tiles.pixels(), first, count, features);
          float[] towerRows = own.towerOutput().getFloats(stream);
          float[] featureRows = features.getFloats(stream);
          for (int t = 0; t < count; t++) {
            double[] x = vision.tower(expected.get(first + t));
            assertClose("tower, tile " + (first + t), x, slice(towerRows, t, x.length), model);
            double[] f = vision.project(x);
            assertClose("projector, tile " + (first + t), f, slice(featureRows, t, f.length), model);
          }
        }
      }
    }
  }

  private static float[] slice(float[] all, int index, int length) {
    return Arrays.copyOfRange(all, index * length, (index + 1) * length);
  }

  /** One tile, a column and a row of tiles, borders cut off at either side, shrunk and not. */
  @ParameterizedTest
  @CsvSource({"62,62", "100,60", "40,130", "373,91", "80,330", "186,180", "20,61"})
  void assembledRows(int width, int height) {
    double[][] expected = vision.embed(image(width, height), true, MAX_TILES);
    for (DiffusionVl model : List.of(f32, bf16)) {
      assertRows(expected, encode(model, image(width, height)).getFirst(), model);
    }
  }

  /** The patch convolution by cuDNN and by the product: the whole way, both against the oracle and close to each other. */
  @Test
  void bothPatchEmbeddingsAgree() {
    double[][] expected = vision.embed(image(100, 60), true, MAX_TILES);
    for (DiffusionVl model : List.of(f32, bf16)) {
      SigLipTower tower = (SigLipTower) model.vision();
      assertTrue(tower.convolution() && model.remarks().isEmpty(), "cuDNN is there");
      SigLipTower other = new SigLipTower(tower.config(), tower.weights(), false);
      assertEquals(1, other.remarks().size());
      float[] byConvolution = encode(model, tower, image(100, 60)).getFirst();
      float[] byProduct = encode(model, other, image(100, 60)).getFirst();
      assertRows(expected, byConvolution, model);
      assertRows(expected, byProduct, model);
      double[] wide = new double[byProduct.length];
      Arrays.setAll(wide, i -> byProduct[i]);
      assertClose("by convolution", wide, byConvolution, model);
    }
  }

  @Test
  void assembledRowsOfSeveralImages() {
    for (DiffusionVl model : List.of(f32, bf16)) {
      List<float[]> actual = encode(model, image(100, 61), image(30, 77));
      assertRows(vision.embed(image(100, 61), false, MAX_TILES), actual.get(0), model);
      assertRows(vision.embed(image(30, 77), false, MAX_TILES), actual.get(1), model);
    }
  }

  /** {@code image_aspect_ratio} "square": what is a thumbnail elsewhere is all of the image, and no newline follows. */
  @Test
  void assembledRowsOfStretchedImages() {
    ModelConfig config = ModelConfig.load(
        SigLipCheckpoint.files(temp.resolve("square"), SigLipCheckpoint.CONFIG.replace("anyres_max_4", "square")));
    for (DiffusionVl model : List.of(f32, bf16)) {
      SigLipTower tower = new SigLipTower(config, ((SigLipTower) model.vision()).weights(), true);
      for (List<RgbImage> images : List.of(List.of(image(100, 61)), List.of(image(30, 77), image(62, 62)))) {
        List<float[]> actual = encode(model, tower, images.toArray(RgbImage[]::new));
        for (int i = 0; i < images.size(); i++) {
          double[] expected = vision.project(vision.tower(vision.anyresTiles(images.get(i)).getFirst()));
          assertEquals(16 * config.text().hiddenSize(), actual.get(i).length);
          assertClose("image " + i, expected, actual.get(i), model);
        }
      }
    }
  }

  private static List<float[]> encode(DiffusionVl model, RgbImage... images) {
    return encode(model, model.vision(), images);
  }

  private static List<float[]> encode(DiffusionVl model, VisionTower tower, RgbImage... images) {
    List<float[]> rows = new ArrayList<>();
    try (Stream stream = device.newStream();
        Gemm gemm = new Gemm(stream);
        ImageEncoder encoder = tower.newEncoder(model.kernels(), stream, gemm)) {
      for (ImageEncoder.Input input : encoder.prepare(List.of(images))) {
        try (DeviceBuffer target = device.allocate("rows", model.dtype(), input.rows(), model.config().text().hiddenSize())) {
          input.encode(target);
          rows.add(target.getFloats(stream));
        }
      }
    }
    return rows;
  }

  private static void assertRows(double[][] expected, float[] actual, DiffusionVl model) {
    int hidden = model.config().text().hiddenSize();
    assertEquals(expected.length * hidden, actual.length);
    for (int r = 0; r < expected.length; r++) {
      assertClose("row " + r + " of " + expected.length, expected[r], slice(actual, r, hidden), model);
    }
  }

  private static void assertClose(String what, double[] expected, float[] actual, DiffusionVl model) {
    double difference = 0;
    double norm = 0;
    for (int i = 0; i < expected.length; i++) {
      difference += Math.pow(actual[i] - expected[i], 2);
      norm += Math.pow(expected[i], 2);
    }
    double error = Math.sqrt(difference / norm);
    assertTrue(error <= (model.dtype() == DType.F32 ? F32_TOLERANCE : BF16_TOLERANCE), what + ": relative error " + error); // NaN fails too
  }

  /** The prompt's embeddings as the oracles have them. */
  private static List<double[]> prompt(Request request) {
    List<double[]> rows = new ArrayList<>();
    int image = 0;
    boolean single = request.images().size() == 1;
    for (int id : ChatPrompt.tokens(f32.tokenizer(), request.form(), request.system(), request.turns(), request.images().size())) {
      if (id == ChatPrompt.IMAGE) {
        rows.addAll(List.of(vision.embed(request.images().get(image++), single, MAX_TILES)));
      } else {
        rows.add(text.embedding(id));
      }
    }
    return rows;
  }

  private static List<Request> requests() {
    return List.of(Request.of("What color is the square?"), Request.of("What color is the square?", image(100, 60)),
        Request.of("Which is larger?", image(100, 61), image(30, 77)));
  }

  @Test
  void everyTokenAndStepInF32() {
    GenerationOptions options = GenerationOptions.DEFAULTS.withGenLength(20).withSteps(3);
    for (Request request : requests()) {
      List<double[]> prompt = prompt(request);
      int block = f32.config().blockSize();
      assertRun(request, options, prompt, text.generate(prompt, 20, 3, block, block, text.greedy()));
    }
  }

  /** Token by token, as a model of this family is decoded that was trained autoregressively: positions count on, rows see those before. */
  @Test
  void tokenByTokenInF32() {
    GenerationOptions options = GenerationOptions.DEFAULTS.withGenLength(12).withDecoding(new Decoding.Autoregressive());
    for (Request request : requests()) {
      List<double[]> rows = prompt(request);
      List<Integer> expected = new ArrayList<>();
      for (int i = 0; i < 12 && !expected.contains(f32.config().eosTokenId()); i++) {
        double[] logits = text.logits(rows, 1, 1)[0];
        int best = IntStream.range(0, logits.length).boxed().max(Comparator.comparingDouble(id -> logits[id])).orElseThrow();
        expected.add(best);
        rows.add(text.embedding(best));
      }
      for (int speculate : new int[] {0, 4}) {
        try (Session session = f32.newSession()) {
          GenerationResult result = session.generate(request, options.withExecution(new Execution(true, true, speculate)));
          assertEquals(expected, Arrays.stream(result.tokenIds()).boxed().toList());
        }
      }
    }
  }

  private static void assertRun(Request request, GenerationOptions options, List<double[]> prompt, BlockDiffusionOracle.Run expected) {
    List<List<GenerationListener.Commit>> steps = new ArrayList<>();
    GenerationResult result;
    try (Session session = f32.newSession()) {
      result = session.generate(request, options, recording(steps));
    }
    assertEquals(prompt.size(), result.promptTokens());
    assertEquals(expected.steps().size(), steps.size());
    for (int s = 0; s < steps.size(); s++) {
      List<BlockDiffusionOracle.Commit> want = expected.steps().get(s);
      assertEquals(want.stream().map(c -> c.position() + ":" + c.token()).toList(),
          steps.get(s).stream().map(c -> c.position() + ":" + c.token()).toList(), "step " + s);
      for (int i = 0; i < want.size(); i++) {
        assertEquals(want.get(i).confidence(), steps.get(s).get(i).confidence(), 1e-4);
      }
    }
    assertArrayEquals(expected.ids(), result.tokenIds());
  }

  private static GenerationListener recording(List<List<GenerationListener.Commit>> steps) {
    return new GenerationListener() {
      @Override
      public void onStep(int block, int step, List<Commit> committed) {
        steps.add(committed);
      }
    };
  }

  /** Sampling: the confidence that ranks positions is of the unmodified logits, whatever temperature, top-k and top-p do. */
  @Test
  void sampledTokensAreRankedByTheUnmodifiedSoftmax() {
    Request request = requests().get(1);
    List<double[]> prompt = prompt(request);
    SplittableRandom random = new SplittableRandom(5);
    List<double[]> uniforms = new ArrayList<>();
    for (int i = 0; i < 40; i++) {
      uniforms.add(random.doubles(8).toArray());
    }
    GenerationOptions options = GenerationOptions.DEFAULTS.withGenLength(16).withSteps(4).withSampling(3f, 20, 0.9f).withUniforms(uniforms);
    int mask = f32.config().maskTokenId();
    BlockDiffusionOracle.Run expected = text.generate(prompt, 16, 4, 8, 8, (forward, row, logits) -> {
      float[] clean = logits.clone();
      clean[mask] = Float.NEGATIVE_INFINITY;
      return SamplingOracle.sample(clean, mask, 3f, 20, 0.9f, uniforms.get(forward)[row], true);
    });
    assertRun(request, options, prompt, expected);
  }

  /** The full-diffusion ablation spreads the answer's length, not the block's, over the steps. */
  @Test
  void fullDiffusionSpreadsTheAnswerOverTheSteps() {
    Request request = requests().get(0);
    List<double[]> prompt = prompt(request);
    GenerationOptions options = GenerationOptions.DEFAULTS.withGenLength(13).withSteps(4).withBlockSize(200);
    assertTrue(prompt.size() + 13 <= 200);
    BlockDiffusionOracle.Run expected = text.generate(prompt, 13, 4, 200, 13, text.greedy());
    assertEquals(List.of(4, 3, 3, 3), expected.steps().stream().map(List::size).toList());
    assertRun(request, options, prompt, expected);
  }

  /** Bf16 takes its own path where logits are close; each of its choices must be as good as the best in the oracle's eyes. */
  @Test
  void everyBf16ChoiceIsNearlyTheOraclesBest() {
    int block = bf16.config().blockSize();
    int mask = bf16.config().maskTokenId();
    for (Request request : requests()) {
      List<double[]> rows = prompt(request);
      List<List<GenerationListener.Commit>> steps = new ArrayList<>();
      try (Session session = bf16.newSession()) {
        session.generate(request, GenerationOptions.DEFAULTS.withGenLength(16).withSteps(4), recording(steps));
      }
      int exact = 0;
      int all = 0;
      for (List<GenerationListener.Commit> committed : steps) {
        int end = (committed.getFirst().position() / block + 1) * block;
        while (rows.size() < end) {
          rows.add(text.embedding(mask));
        }
        double[][] logits = text.logits(rows, block, block);
        for (GenerationListener.Commit commit : committed) {
          double[] row = logits[commit.position() - (end - block)];
          row[mask] = Double.NEGATIVE_INFINITY;
          double best = Arrays.stream(row).max().orElseThrow();
          double spread = Math.sqrt(Arrays.stream(row).filter(Double::isFinite).map(x -> x * x).average().orElseThrow());
          assertTrue(best - row[commit.token()] <= 0.15 * spread,
              "position %d: logit %.3f, best %.3f, spread %.3f".formatted(commit.position(),
              row[commit.token()], best, spread));
          exact += row[commit.token()] == best ? 1 : 0;
          all++;
        }
        committed.forEach(c -> rows.set(c.position(), text.embedding(c.token())));
      }
      assertTrue(exact >= 0.8 * all, exact + " of " + all + " choices are the oracle's own");
    }
  }
}
