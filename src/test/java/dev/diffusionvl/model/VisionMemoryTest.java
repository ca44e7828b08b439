// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.model;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import dev.diffusionvl.loader.RgbImage;
import dev.diffusionvl.prove.Emulator;
import dev.diffusionvl.runtime.DType;
import dev.diffusionvl.runtime.Device;
import dev.diffusionvl.runtime.DeviceBuffer;
import dev.diffusionvl.runtime.DeviceSpec;
import dev.diffusionvl.runtime.Gemm;
import dev.diffusionvl.runtime.Stream;
import java.nio.file.Path;
import java.util.List;
import java.util.SplittableRandom;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** What an image encoder keeps between images: nothing is created for an image that is no larger, and no image shows in another one. */
class VisionMemoryTest {
  @TempDir private static Path temp;

  /** What images become one after the other in one session's encoder, and how many things were created for each. */
  private static final class Run implements AutoCloseable {
    private final DiffusionVl model;
    private final Stream stream;
    private final Gemm gemm;
    private final ImageEncoder encoder;
    private long created;

    Run(DiffusionVl model) {
      this.model = model;
      stream = model.device().newStream();
      gemm = new Gemm(stream);
      encoder = model.vision().newEncoder(model.kernels(), stream, gemm);
    }

    float[] encode(RgbImage image) {
      ImageEncoder.Input input = encoder.prepare(List.of(image)).getFirst();
      try (DeviceBuffer out = model.device().allocate("embeddings", model.dtype(), input.rows(), model.config().text().hiddenSize())) {
        Emulator.failCreation(0); // counts from here
        input.encode(out);
        created = Emulator.creations();
        return out.getFloats(stream);
      }
    }

    @Override
    public void close() {
      encoder.close();
      encoder.close();
      gemm.close();
      stream.close();
    }
  }

  private static RgbImage image(int width, int height, int seed) {
    byte[] rgb = new byte[3 * width * height];
    SplittableRandom random = new SplittableRandom(seed);
    random.nextBytes(rgb);
    return new RgbImage(width, height, rgb);
  }

  @ParameterizedTest
  @ValueSource(strings = {"F32", "BF16"})
  void qwenVl(DType dtype) {
    check(GoldenCase.MODEL, dtype, image(112, 84, 1), image(112, 84, 2), image(56, 84, 3), image(168, 140, 4));
  }

  @ParameterizedTest
  @ValueSource(strings = {"F32", "BF16"})
  void sigLip(DType dtype) {
    Path folder = temp.resolve("siglip-" + dtype);
    SigLipCheckpoint.write(folder);
    check(folder, dtype, image(100, 60, 1), image(100, 60, 2), image(62, 62, 3), image(373, 91, 4));
  }

  private static void check(Path checkpoint, DType dtype, RgbImage first, RgbImage alike, RgbImage smaller, RgbImage larger) {
    assumeTrue(Emulator.present(), "counts what the emulated device creates");
    try (Device device = Device.open(DeviceSpec.parse(System.getProperty("dvl.device", "auto")));
        DiffusionVl model = DiffusionVl.load(device, checkpoint, dtype)) {
      long before = device.memory().free();
      try (Run run = new Run(model)) {
        float[] ofFirst = run.encode(first);
        assertTrue(run.created > 0, "the first image");
        for (RgbImage next : List.of(alike, smaller, first, larger, larger, first)) {
          assertArrayEquals(alone(model, next), run.encode(next), "as the first of an encoder");
          run.encode(next);
          assertEquals(0, run.created, "memory for an image like the one before");
        }
        assertArrayEquals(ofFirst, run.encode(first));
        run.encode(smaller);
        assertEquals(0, run.created, "memory for a smaller image");
      }
      assertEquals(before, device.memory().free(), "all of it is given back");
    }
  }

  private static float[] alone(DiffusionVl model, RgbImage image) {
    try (Run run = new Run(model)) {
      return run.encode(image);
    }
  }

  @Test
  void anglesAreThoseOfEachPatch() {
    int[] y = {0, 3, 1, 2};
    int[] x = {5, 0, 2, 2};
    RopeTable.Turns turns = RopeTable.Turns.vision(y, x, 16);
    for (int r = 0; r < y.length; r++) {
      for (int j = 0; j < 4; j++) {
        float frequency = (float) Math.pow(10000, -j / 4.0);
        float down = y[r] * frequency;
        float across = x[r] * frequency;
        assertEquals((float) Math.cos(down), turns.cos()[8 * r + j]);
        assertEquals((float) Math.sin(across), turns.sin()[8 * r + 4 + j]);
      }
    }
  }
}
