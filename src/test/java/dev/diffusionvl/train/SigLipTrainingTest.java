// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.train;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.diffusionvl.loader.ImageTiles;
import dev.diffusionvl.loader.RgbImage;
import dev.diffusionvl.loader.SigLipImageProcessor;
import dev.diffusionvl.model.DiffusionVl;
import dev.diffusionvl.model.Parameter;
import dev.diffusionvl.model.SigLipCheckpoint;
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
import java.util.List;
import java.util.Map;
import java.util.SplittableRandom;
import java.util.function.Predicate;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/**
 * Gradients of the SigLIP tower, its projector and the mosaic against differences of a float64 oracle. What is differentiated is the sum of
 * all features, each times a number of its own.
 */
class SigLipTrainingTest {
  private static final int MAX_TILES = 4; // of the checkpoint
  private static final double STEP = 1e-4;
  private static final double TOLERANCE = 2e-5; // of the greatest element of a tensor's gradient

  @TempDir private static Path temp;
  private static Device device;
  private static DiffusionVl model;
  private static TensorMap weights;
  private static SigLipOracle oracle;

  @BeforeAll
  static void load() {
    Path folder = temp.resolve("tiny-siglip");
    SigLipCheckpoint.write(folder);
    device = Device.open(DeviceSpec.parse(System.getProperty("dvl.device", "auto")));
    model = DiffusionVl.load(device, folder, DType.F32);
    weights = SigLipCheckpoint.read(folder);
    oracle = new SigLipOracle(model.config().sigLip(), weights);
  }

  @AfterAll
  static void close() {
    model.close();
    device.close();
  }

  private static RgbImage image(int width, int height) {
    SplittableRandom random = new SplittableRandom(31L * width + height);
    byte[] rgb = new byte[3 * width * height];
    random.nextBytes(rgb);
    return new RgbImage(width, height, rgb);
  }

  private static float factor(long image, int row, int column) {
    return (float) new SplittableRandom(image << 40 | (long) row << 20 | column).nextGaussian();
  }

  private static double expectedSum(List<RgbImage> images) {
    double sum = 0;
    for (int i = 0; i < images.size(); i++) {
      double[][] rows = oracle.embed(images.get(i), images.size() == 1, MAX_TILES);
      for (int row = 0; row < rows.length; row++) {
        for (int column = 0; column < rows[row].length; column++) {
          sum += rows[row][column] * factor(i, row, column);
        }
      }
    }
    return sum;
  }

  private static Map<String, float[]> gradients(List<RgbImage> images, Predicate<DeviceBuffer> trained, boolean recompute) {
    int hidden = model.config().text().hiddenSize();
    List<PreparedImage> prepared = new ArrayList<>();
    for (ImageTiles tiles : new SigLipImageProcessor(model.config()).process(images)) {
      prepared.add(new PreparedImage.Tiles(tiles));
    }
    try (Stream stream = device.newStream();
        Gemm gemm = new Gemm(stream);
        Twin gradients = new Twin(TrainingMemory.on(device), "gradients", model.parameters().buffers().stream().filter(trained).toList());
        VisionTraining vision = VisionTraining.of(model, stream, gemm, gradients, recompute, null)) {
      stream.fill(gradients.all(), 0);
      double sum = 0;
      long before = device.memory().free();
      for (int i = 0; i < images.size(); i++) {
        int rows = prepared.get(i).rows();
        try (DeviceBuffer features = device.allocate("features", DType.F32, rows, hidden)) {
          vision.features(prepared.get(i), features);
          float[] values = features.getFloats(stream);
          for (int k = 0; k < values.length; k++) {
            sum += (double) values[k] * factor(i, k / hidden, k % hidden);
          }
        }
      }
      double expected = expectedSum(images);
      assertEquals(expected, sum, 1e-5 * Math.abs(expected));
      for (int i = images.size() - 1; i >= 0; i--) {
        float[] factors = new float[prepared.get(i).rows() * hidden];
        for (int k = 0; k < factors.length; k++) {
          factors[k] = factor(i, k / hidden, k % hidden);
        }
        try (DeviceBuffer dFeatures = device.allocate("gradient of the features", DType.F32, prepared.get(i).rows(), hidden)) {
          dFeatures.set(stream, factors);
          vision.backward(prepared.get(i), dFeatures);
        }
      }
      long planned = VisionTraining.bytes(model.config(), DType.F32, prepared.stream()
          .mapToInt(image -> ((PreparedImage.Tiles) image).tiles().tiles()).max().orElseThrow(), trained.test(towerWeight()), recompute);
      long held = before - device.memory().free(); // without what lives during a call only
      assertTrue(held <= planned && held > 0.8 * planned, held + " of " + planned);
      return FileGradients.read(model, gradients, stream);
    }
  }

  private static DeviceBuffer towerWeight() {
    return buffer(model.parameters().entry("siglip.embeddings.position_embedding.weight"));
  }

  private static DeviceBuffer buffer(Parameter entry) {
    return model.parameters().buffers().get(entry.buffer());
  }

  private static boolean isVision(String name) {
    return name.startsWith("siglip.") || name.startsWith("projector.") || name.equals("image_newline");
  }

  private static boolean isVision(DeviceBuffer weight) {
    return model.parameters().entries().stream().anyMatch(entry -> buffer(entry) == weight && isVision(entry.name()));
  }

  /** 13 tiles are two passes of the tower; the mosaic is cut and shrunk. */
  @Test
  void gradientsOfAnImageOfManyTiles() {
    assertGradients(List.of(image(373, 91)), 1);
  }

  @Test
  void gradientsOfSeveralImages() {
    assertGradients(List.of(image(100, 61), image(30, 77)), 3);
  }

  /** @param each elements of a tensor that are looked at */
  private static void assertGradients(List<RgbImage> images, int each) {
    Map<String, float[]> gradients = gradients(images, SigLipTrainingTest::isVision, false);
    assertEquals(model.parameters().entries().stream().filter(entry -> isVision(entry.name())).count(), gradients.size());
    SplittableRandom random = new SplittableRandom(7);
    gradients.forEach((name, gradient) -> {
      double[] weight = weights.tensors().get(name);
      double greatest = 0;
      for (float value : gradient) {
        greatest = Math.max(greatest, Math.abs(value));
      }
      assertTrue(greatest > 0 || name.endsWith("k_proj.bias"), name + " has a gradient");
      for (int k = 0; k < each; k++) {
        int at = random.nextInt(weight.length);
        double value = weight[at];
        weight[at] = value + STEP;
        double above = expectedSum(images);
        weight[at] = value - STEP;
        double below = expectedSum(images);
        weight[at] = value;
        // the bias of all keys changes no attention: its gradient is rounding
        double tolerance = name.endsWith("k_proj.bias") ? 1e-3 : TOLERANCE * greatest;
        assertEquals((above - below) / (2 * STEP), gradient[at], tolerance, name + "[" + at + "]");
      }
    });
  }

  /** Recomputing is the same work done twice, and what is frozen changes nothing for the rest. */
  @Test
  void whatIsKeptAndWhatIsFrozenChangesNoBit() {
    List<RgbImage> images = List.of(image(100, 61), image(30, 77));
    Map<String, float[]> all = gradients(images, SigLipTrainingTest::isVision, false);
    assertSame(all, gradients(images, SigLipTrainingTest::isVision, true), all.size());
    Predicate<DeviceBuffer> projector = weight -> model.parameters().entries().stream()
        .anyMatch(entry -> buffer(entry) == weight && isVision(entry.name()) && !entry.name().startsWith("siglip."));
    assertSame(all, gradients(images, projector, false), 5);
  }

  private static void assertSame(Map<String, float[]> expected, Map<String, float[]> actual, int tensors) {
    assertEquals(tensors, actual.size());
    actual.forEach((name, values) -> assertArrayEquals(expected.get(name), values, name));
  }
}
