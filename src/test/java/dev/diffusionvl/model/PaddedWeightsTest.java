// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.model;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.diffusionvl.loader.PixelValues;
import dev.diffusionvl.loader.Safetensors;
import dev.diffusionvl.loader.SafetensorsWriter;
import dev.diffusionvl.loader.TestCheckpoints;
import dev.diffusionvl.loader.VisionConfig;
import dev.diffusionvl.runtime.DType;
import dev.diffusionvl.runtime.Device;
import dev.diffusionvl.runtime.DeviceBuffer;
import dev.diffusionvl.runtime.DeviceSpec;
import dev.diffusionvl.runtime.Gemm;
import dev.diffusionvl.runtime.Stream;
import dev.diffusionvl.runtime.op.Kernels;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import java.util.Set;
import java.util.function.Function;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** An intermediate size that is no multiple of 8, as the vision towers' 3420, is padded with zeros, and nothing shows it. */
class PaddedWeightsTest {
  private static final int HIDDEN = 160;
  private static final int INTER = 21;
  private static final int PADDED = 24;
  private static final VisionConfig CONFIG = new VisionConfig(2, HIDDEN, 2, INTER, 14, 2, 2, 112, 3, 64, Set.of(1));

  @TempDir private Path folder;
  private final Device device = Device.open(DeviceSpec.parse(System.getProperty("dvl.device", "auto")));
  private final Stream stream = device.newStream();
  private List<DeviceBuffer> buffers = List.of();

  @AfterEach
  void close() {
    buffers.forEach(DeviceBuffer::close);
    stream.close();
    device.close();
  }

  /** Seeded values for every name. */
  private final class Values implements WeightSource {
    @Override
    public boolean contains(String name) {
      return true;
    }

    @Override
    public long[] shape(String name) {
      long[] weight = name.contains("patch_embed") ? new long[] {HIDDEN, 3, 2, 14, 14}
          : name.contains("norm") || name.contains("ln_q") ? new long[] {HIDDEN}
          : name.contains("qkv") ? new long[] {3 * HIDDEN, HIDDEN}
          : name.contains("attn.proj") ? new long[] {HIDDEN, HIDDEN}
          : name.contains("gate_proj") || name.contains("up_proj") ? new long[] {INTER, HIDDEN}
          : name.contains("down_proj") ? new long[] {HIDDEN, INTER}
          : name.contains("merger.mlp.0") ? new long[] {4 * HIDDEN, 4 * HIDDEN} : new long[] {64, 4 * HIDDEN};
      return name.endsWith(".bias") ? new long[] {weight[0]} : weight;
    }

    float[] of(String name) {
      Random random = new Random(name.hashCode());
      float[] values = new float[(int) Arrays.stream(shape(name)).reduce(1, (a, b) -> a * b)];
      for (int i = 0; i < values.length; i++) {
        values[i] = (float) random.nextGaussian() / 8;
      }
      return values;
    }

    @Override
    public void fill(String name, DeviceBuffer target) {
      target.set(stream, of(name));
    }

    @Override
    public void finish() {}

    @Override
    public void close() {}
  }

  private <T> T load(Function<WeightUploader, T> weights) {
    try (WeightUploader uploader = new WeightUploader(device, new Values(), DType.F32, true)) {
      T loaded = weights.apply(uploader);
      List<DeviceBuffer> all = new ArrayList<>(buffers);
      all.addAll(uploader.release().buffers());
      buffers = all;
      return loaded;
    }
  }

  /** The way back from the device, with zeros in between and in more than one piece. */
  @Test
  void filesHaveNoPadding() {
    Values values = new Values();
    try (WeightUploader uploader = new WeightUploader(device, values, DType.F32, true)) {
      uploader.paddedOutputs(true, "mlp.gate_proj", "mlp.up_proj");
      uploader.paddedInputs(true, "mlp.down_proj");
      try (Parameters parameters = uploader.release()) {
        assertEquals(6, parameters.entries().size());
        parameters.entries().forEach(entry -> assertArrayEquals(values.of(entry.name()), written(parameters, entry), entry.name()));
      }
    }
    int rows = 100_003;
    DeviceBuffer large = device.allocate("large", DType.F32, rows, PADDED);
    float[] stored = new float[rows * PADDED];
    for (int i = 0; i < stored.length; i++) {
      stored[i] = i;
    }
    large.set(stream, stored);
    try (Parameters parameters = new Parameters()) {
      parameters.add(large);
      Parameter entry = new Parameter("large", new long[] {rows, INTER}, 0, 0, new Layout.PaddedRows(PADDED));
      parameters.add(entry);
      float[] file = written(parameters, entry);
      assertEquals(rows * INTER, file.length);
      for (int i = 0; i < file.length; i++) {
        assertEquals(i / INTER * PADDED + i % INTER, file[i]);
      }
    }
  }

  private float[] written(Parameters parameters, Parameter entry) {
    Path file = folder.resolve(entry.name());
    SafetensorsWriter.writeFile(file, List.of(parameters.toFile(entry, "it", stream)));
    try (Safetensors read = Safetensors.open(file)) {
      assertArrayEquals(entry.shape(), read.tensor("it").shape());
      return TestCheckpoints.floats(read.tensor("it"));
    }
  }

  @Test
  void partsAreFollowedByZeros() {
    Values values = new Values();
    Linear.Dense up = load(u -> u.paddedOutputs(true, "mlp.gate_proj", "mlp.up_proj"));
    Linear.Dense down = load(u -> u.paddedInputs(true, "mlp.down_proj"));
    assertArrayEquals(new long[] {2 * PADDED, HIDDEN}, up.weight().shape());
    assertArrayEquals(new long[] {HIDDEN, PADDED}, down.weight().shape());
    float[] expected = new float[2 * PADDED * HIDDEN];
    System.arraycopy(values.of("mlp.gate_proj.weight"), 0, expected, 0, INTER * HIDDEN);
    System.arraycopy(values.of("mlp.up_proj.weight"), 0, expected, PADDED * HIDDEN, INTER * HIDDEN);
    assertArrayEquals(expected, up.weight().getFloats(stream));
    float[] bias = new float[2 * PADDED];
    System.arraycopy(values.of("mlp.gate_proj.bias"), 0, bias, 0, INTER);
    System.arraycopy(values.of("mlp.up_proj.bias"), 0, bias, PADDED, INTER);
    assertArrayEquals(bias, up.bias().getFloats(stream));
    float[] rows = new float[HIDDEN * PADDED];
    float[] stored = values.of("mlp.down_proj.weight");
    for (int r = 0; r < HIDDEN; r++) {
      System.arraycopy(stored, r * INTER, rows, r * PADDED, INTER);
    }
    assertArrayEquals(rows, down.weight().getFloats(stream));
    assertArrayEquals(values.of("mlp.down_proj.bias"), down.bias().getFloats(stream));
  }

  /** The whole tower, from patches to merged embeddings, against the same without padding. */
  @Test
  void theTowerGivesTheSame() {
    VisionWeights padded = load(u -> VisionWeights.load(u, CONFIG));
    assertEquals(PADDED, padded.blocks().getFirst().down().in());
    List<VisionWeights.Block> plainBlocks = new ArrayList<>();
    for (int i = 0; i < CONFIG.depth(); i++) {
      String mlp = "vision.blocks." + i + ".mlp.";
      VisionWeights.Block b = padded.blocks().get(i);
      plainBlocks.add(new VisionWeights.Block(b.norm1(), b.qkv(), b.projection(), b.norm2(),
          load(u -> u.linear(true, mlp + "gate_proj", mlp + "up_proj")), load(u -> u.linear(true, mlp + "down_proj"))));
    }
    VisionWeights plain =
        new VisionWeights(padded.patchEmbedding(), plainBlocks, padded.mergerNorm(), padded.mergerUp(), padded.mergerDown());
    float[] pixels = new float[4 * 6 * 1176];
    Random random = new Random(11);
    for (int i = 0; i < pixels.length; i++) {
      pixels[i] = (float) random.nextGaussian();
    }
    float[] expected = encode(plain, pixels);
    float[] actual = encode(padded, pixels);
    double largest = 0;
    for (float x : expected) {
      largest = Math.max(largest, Math.abs(x));
    }
    assertTrue(largest > 0.1, "nothing to compare");
    assertArrayEquals(expected, actual, (float) (1e-5 * largest));
  }

  private float[] encode(VisionWeights weights, float[] pixels) {
    try (Gemm gemm = new Gemm(stream);
        QwenVlVision vision = new QwenVlVision(CONFIG, weights, new Kernels(device), stream, gemm, 4 * 6);
        DeviceBuffer out = device.allocate("features", DType.F32, 6, 64)) {
      vision.encode(new PixelValues(pixels, 4, 6), out);
      return out.getFloats(stream);
    }
  }
}
