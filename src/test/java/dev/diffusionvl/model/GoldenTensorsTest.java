// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.model;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.diffusionvl.loader.ModelConfig;
import dev.diffusionvl.loader.PixelValues;
import dev.diffusionvl.loader.QwenImageProcessor;
import dev.diffusionvl.loader.RgbImage;
import dev.diffusionvl.runtime.DType;
import dev.diffusionvl.runtime.Device;
import dev.diffusionvl.runtime.DeviceBuffer;
import dev.diffusionvl.runtime.DeviceSpec;
import dev.diffusionvl.runtime.Gemm;
import dev.diffusionvl.runtime.Stream;
import dev.diffusionvl.runtime.op.Segments;
import java.io.IOException;
import java.util.Arrays;
import java.util.List;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/** Intermediate tensors of the golden cases in f32: relative L2 error of each at most 1e-4 (pixel values: 1e-6 each). */
class GoldenTensorsTest {
  private static final double TOLERANCE = 1e-4;
  private static Device device;
  private static DiffusionVl model;

  @BeforeAll
  static void load() {
    device = Device.open(DeviceSpec.parse(System.getProperty("dvl.device", "auto")));
    model = DiffusionVl.load(device, GoldenCase.MODEL, DType.F32);
  }

  @AfterAll
  static void close() {
    model.close();
    device.close();
  }

  static List<GoldenCase> cases() {
    return GoldenCase.all();
  }

  static List<GoldenCase> casesWithImages() {
    return cases().stream().filter(c -> !c.json().get("images").isEmpty()).toList();
  }

  @ParameterizedTest
  @MethodSource("casesWithImages")
  void pixelsAndVisionFeatures(GoldenCase golden) throws IOException {
    float[] pixels = golden.tensor("pixel_values");
    float[] tower = golden.tensor("vision_tower_output");
    float[] embeds = golden.tensor("image_embeds");
    int hidden = model.config().text().hiddenSize();
    int pixelAt = 0;
    int towerAt = 0;
    int embedAt = 0;
    try (Stream stream = device.newStream(); Gemm gemm = new Gemm(stream)) {
      for (RgbImage image : golden.request().images()) {
        PixelValues values = new QwenImageProcessor(model.config()).process(image, golden.name());
        for (int i = 0; i < values.values().length; i++) {
          assertEquals(pixels[pixelAt + i], values.values()[i], 1e-6, "pixel value");
        }
        pixelAt += values.values().length;
        try (QwenVlVision vision = new QwenVlVision(model.config().vision(), ((QwenVlTower) model.vision()).weights(), model.kernels(),
                stream, gemm, values.gridHeight() * values.gridWidth());
            DeviceBuffer out = device.allocate("features", DType.F32, values.gridHeight() * values.gridWidth() / 4, hidden)) {
          vision.encode(values, out);
          float[] own = vision.towerOutput().getFloats(stream);
          assertClose("vision_tower_output", Arrays.copyOfRange(tower, towerAt, towerAt + own.length), own);
          towerAt += own.length;
          float[] features = out.getFloats(stream);
          assertClose("image_embeds", Arrays.copyOfRange(embeds, embedAt, embedAt + features.length), features);
          embedAt += features.length;
        }
      }
    }
    assertEquals(pixels.length, pixelAt);
    assertEquals(tower.length, towerAt);
    assertEquals(embeds.length, embedAt);
  }

  @ParameterizedTest
  @MethodSource("cases")
  void prefillHiddenStateAndFirstLogits(GoldenCase golden) throws IOException {
    prefillHiddenStateAndFirstLogits(golden, GemmChoice.CUBLAS);
    prefillHiddenStateAndFirstLogits(golden, GemmChoice.OWN);
  }

  private void prefillHiddenStateAndFirstLogits(GoldenCase golden, GemmChoice choice) throws IOException {
    ModelConfig config = model.config();
    int hidden = config.text().hiddenSize();
    int block = config.blockSize();
    int length = golden.json().get("prompt_length").asInt();
    int prefill = length / block * block;
    float[] embeddings = promptEmbeddings(golden, length, block);
    int slots = prefill + block;
    try (Stream stream = device.newStream();
        Gemm gemm = new Gemm(stream);
        LayerOpsFactory factory = new LayerOpsFactory(config.text(), stream, gemm, choice, false);
        KvCache cache = new KvCache(device, DType.F32, KvChoice.AUTO, config.text(), slots);
        RopeTable rope = RopeTable.text(device, stream, slots, config.text().headDim(), config.text().ropeTheta());
        Transformer transformer = new Transformer(DType.F32, config.text(), model.text(), model.kernels(), stream, factory, prefill,
            prefill, 2, 1, slots);
        Segments segments = new Segments(device, prefill / block)) {
      for (int begin = 0; begin < prefill; begin += block) {
        segments.add(begin, block, begin, begin, 0, begin, Segments.Own.SELF);
      }
      segments.upload(stream);
      transformer.hidden().set(stream, Arrays.copyOf(embeddings, prefill * hidden));
      transformer.forward(Transformer.PassParts.scored(segments), cache, rope);
      transformer.computeLogits(0, prefill);
      float[] expected = golden.tensor("prefill_last_hidden");
      float[] all = transformer.normed().getFloats(stream);
      assertClose("prefill_last_hidden", expected, Arrays.copyOfRange(all, (prefill - 1) * hidden, prefill * hidden)); // of the last row

      segments.clear();
      segments.add(0, block, prefill, prefill, 0, prefill, Segments.Own.SELF);
      segments.upload(stream);
      transformer.hidden().set(stream, Arrays.copyOfRange(embeddings, prefill * hidden, slots * hidden));
      transformer.forward(Transformer.PassParts.scored(segments), cache, rope);
      transformer.computeLogits(0, block);
      float[] logits = Arrays.copyOf(transformer.logits().getFloats(stream), block * config.text().vocabSize());
      assertClose("first_step_logits", golden.tensor("first_step_logits"), logits);
    }
  }

  /** Embeddings of the prompt from the golden's own ids and image rows, then mask rows to the end of the first decoded block. */
  private static float[] promptEmbeddings(GoldenCase golden, int length, int block) throws IOException {
    int hidden = model.config().text().hiddenSize();
    int rows = length / block * block + block;
    float[] all = new float[rows * hidden];
    float[] images = golden.tensor("image_embeds");
    int[] imageRows = new int[golden.json().get("images").size()];
    for (int i = 0; i < imageRows.length; i++) {
      var grid = golden.json().get("image_grid_thw").get(i);
      imageRows[i] = grid.get(1).asInt() * grid.get(2).asInt() / 4;
    }
    float[] table;
    try (Stream stream = device.newStream()) {
      table = model.text().embedding().getFloats(stream);
    }
    int row = 0;
    int image = 0;
    int imageAt = 0;
    for (int id : GoldenCase.ints(golden.json().get("prompt_token_ids"))) {
      if (id < 0) {
        System.arraycopy(images, imageAt * hidden, all, row * hidden, imageRows[image] * hidden);
        imageAt += imageRows[image];
        row += imageRows[image++];
      } else {
        System.arraycopy(table, id * hidden, all, row++ * hidden, hidden);
      }
    }
    assertEquals(length, row);
    for (; row < rows; row++) {
      System.arraycopy(table, model.config().maskTokenId() * hidden, all, row * hidden, hidden);
    }
    return all;
  }

  private static void assertClose(String what, float[] expected, float[] actual) {
    assertEquals(expected.length, actual.length, what);
    double difference = 0;
    double norm = 0;
    for (int i = 0; i < expected.length; i++) {
      difference += Math.pow((double) actual[i] - expected[i], 2);
      norm += Math.pow(expected[i], 2);
    }
    double error = Math.sqrt(difference / norm);
    assertTrue(error <= TOLERANCE, what + ": relative error " + error); // NaN fails too
  }
}
