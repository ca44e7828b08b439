// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.model;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.diffusionvl.loader.BadInputException;
import dev.diffusionvl.loader.Checkpoint;
import dev.diffusionvl.loader.ModelConfig;
import dev.diffusionvl.loader.TensorType;
import dev.diffusionvl.loader.TensorView;
import dev.diffusionvl.loader.TestCheckpoints.Tensor;
import dev.diffusionvl.loader.TestCheckpoints;
import dev.diffusionvl.loader.Tokenizer;
import dev.diffusionvl.oracle.Rounding;
import dev.diffusionvl.runtime.DType;
import dev.diffusionvl.runtime.Device;
import dev.diffusionvl.runtime.DeviceBuffer;
import dev.diffusionvl.runtime.DeviceSpec;
import dev.diffusionvl.runtime.Stream;
import dev.diffusionvl.runtime.op.WeightForm;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Checkpoints arrive on the device element by element whatever their type and size; random weights are reproducible. */
class WeightSourceTest {
  private static final DType[] FLOATS = {DType.BF16, DType.F16, DType.F32};
  private static final String BIG = "lm_head.weight";
  private static final String SMALL = "model.norm.weight";

  @TempDir private Path folder;
  private Device device;
  private Stream stream;

  @BeforeEach
  void open() {
    device = Device.open(DeviceSpec.parse(System.getProperty("dvl.device", "auto")));
    stream = device.newStream();
  }

  @AfterEach
  void close() {
    stream.close();
    device.close();
  }

  private static Tensor tensor(TensorType type, long... shape) {
    byte[] data = new byte[Math.toIntExact(Arrays.stream(shape).reduce(type.bytes(), Math::multiplyExact))];
    new Random(7).nextBytes(data);
    for (int i = type.bytes() - 1; i < data.length; i += type.bytes()) {
      data[i] &= (byte) 0xbf; // exponents below the largest: no infinities or NaN
    }
    return new Tensor(type, shape, data);
  }

  private void write(TensorType type, long big) throws IOException {
    Files.copy(GoldenCase.MODEL.resolve("config.json"), folder.resolve("config.json"), StandardCopyOption.REPLACE_EXISTING);
    Map<String, Tensor> tensors = new LinkedHashMap<>();
    tensors.put(SMALL, tensor(type, 13)); // so that the big one is not aligned to 16 bytes
    tensors.put(BIG, tensor(type, big));
    TestCheckpoints.write(folder.resolve("model.safetensors"), tensors);
  }

  @Test
  void whatF16CannotHoldIsNamed() throws IOException {
    write(TensorType.F32, 1000);
    Map<String, Tensor> tensors = new LinkedHashMap<>();
    byte[] data = new byte[13 * 4];
    ByteBuffer values = ByteBuffer.wrap(data).order(ByteOrder.LITTLE_ENDIAN).putFloat(0, -65519).putFloat(4, 1e-7f).putFloat(8, 1e-9f);
    for (float tooLarge : new float[] {65520, -1e30f}) {
      values.putFloat(12 * 4, tooLarge);
      tensors.put(SMALL, new Tensor(TensorType.F32, new long[] {13}, data));
      TestCheckpoints.write(folder.resolve("model.safetensors"), tensors);
      try (Checkpoint checkpoint = Checkpoint.open(folder);
          WeightSource source = new CheckpointWeights(device, checkpoint, LoadListener.NONE);
          DeviceBuffer small = device.allocate("small", DType.F16, 13)) {
        BadInputException e = assertThrows(BadInputException.class, () -> {
          source.fill("norm.weight", small);
          source.finish();
        });
        assertTrue(e.getMessage().contains(SMALL) && e.getMessage().contains("65,504"), e.getMessage());
      }
    }
    values.putFloat(12 * 4, Float.POSITIVE_INFINITY); // as it is: the model's answer says so
    TestCheckpoints.write(folder.resolve("model.safetensors"), tensors);
    try (Checkpoint checkpoint = Checkpoint.open(folder);
        WeightSource source = new CheckpointWeights(device, checkpoint, LoadListener.NONE);
        DeviceBuffer small = device.allocate("small", DType.F16, 13)) {
      source.fill("norm.weight", small);
      source.finish();
      assertArrayEquals(new float[] {-65504, 0x1p-23f, 0}, Arrays.copyOf(small.getFloats(stream), 3));
    }
  }

  @Test
  void everyTypeArrivesConverted() throws IOException {
    // more than two pinned buffers of the larger dtype, and a ragged end
    long big = 2 * WeightReader.BUFFER_BYTES / 4 + 2_000_003;
    for (TensorType type : new TensorType[] {TensorType.BF16, TensorType.F16, TensorType.F32}) {
      write(type, big);
      for (DType dtype : FLOATS) {
        try (Checkpoint checkpoint = Checkpoint.open(folder);
            WeightSource source = new CheckpointWeights(device, checkpoint, LoadListener.NONE);
            DeviceBuffer small = device.allocate("small", dtype, 13);
            DeviceBuffer large = device.allocate("large", dtype, big)) {
          stream.fill(large, 0xff);
          stream.synchronize();
          source.fill("norm.weight", small);
          source.fill(BIG, large);
          source.finish();
          assertEqual(type + " to " + dtype, checkpoint.tensor("norm.weight"), small);
          assertEqual(type + " to " + dtype, checkpoint.tensor(BIG), large);
        }
      }
    }
  }

  private void assertEqual(String what, TensorView view, DeviceBuffer buffer) {
    float[] actual = buffer.getFloats(stream);
    Rounding rounding = Rounding.of(buffer.dtype());
    for (int i = 0; i < actual.length; i++) {
      if ((float) rounding.of(view.floatAt(i)) != actual[i]) {
        assertEquals((float) rounding.of(view.floatAt(i)), actual[i], what + ": element " + i + " of " + view);
      }
    }
  }

  @Test
  void progressGoesFromNothingToEverything() throws IOException {
    long big = 3 * WeightReader.BUFFER_BYTES / 2 + 5;
    write(TensorType.BF16, big);
    List<Long> heard = new ArrayList<>();
    try (Checkpoint checkpoint = Checkpoint.open(folder);
        DeviceBuffer small = device.allocate("small", DType.BF16, 13);
        DeviceBuffer large = device.allocate("large", DType.BF16, big);
        WeightSource source = new CheckpointWeights(device, checkpoint, (bytes, total) -> {
          assertEquals(2 * (13 + big), total);
          heard.add(bytes);
        })) {
      source.fill("norm.weight", small);
      source.fill(BIG, large);
      source.finish();
    }
    assertEquals(0, heard.getFirst());
    assertEquals(2 * (13 + big), heard.getLast());
    assertEquals(6, heard.size(), "start, four of five pieces, end");
    for (int i = 1; i < heard.size(); i++) {
      assertTrue(heard.get(i) > heard.get(i - 1), heard.toString());
    }
  }

  @Test
  void aFailingReaderFailsTheLoad() throws IOException {
    write(TensorType.I32, 3 * WeightReader.BUFFER_BYTES);
    try (Checkpoint checkpoint = Checkpoint.open(folder);
        WeightSource source = new CheckpointWeights(device, checkpoint, LoadListener.NONE);
        DeviceBuffer large = device.allocate("large", DType.BF16, 3 * WeightReader.BUFFER_BYTES)) {
      source.fill(BIG, large);
      assertTrue(assertThrows(BadInputException.class, source::finish).getMessage().contains(BIG));
    }
  }

  @Test
  void randomWeightsAreReproducibleAndScaled() {
    ModelConfig config = ModelConfig.load(GoldenCase.MODEL);
    try (WeightSource source = new RandomWeights(device, config, WeightForm.DENSE, 5);
        WeightSource other = new RandomWeights(device, config, WeightForm.DENSE, 6)) {
      float[] norm = values(source, "layers.0.input_layernorm.weight");
      float[] matrix = values(source, "layers.0.self_attn.q_proj.weight");
      assertEquals(1, mean(norm), 0.01);
      assertEquals(0, mean(matrix), 0.001);
      double square = 0;
      for (float v : matrix) {
        square += v * v / matrix.length;
      }
      assertEquals(0.02, Math.sqrt(square), 0.001);
      assertArrayEquals(matrix, values(source, "layers.0.self_attn.q_proj.weight"));
      assertFalse(Arrays.equals(matrix, values(other, "layers.0.self_attn.q_proj.weight")));
      assertFalse(Arrays.equals(values(source, "layers.0.self_attn.k_proj.bias"), values(source, "layers.0.self_attn.v_proj.bias")));
    }
  }

  private float[] values(WeightSource source, String name) {
    try (DeviceBuffer buffer = device.allocate(name, DType.F32, source.shape(name))) {
      source.fill(name, buffer);
      source.finish();
      return buffer.getFloats(stream);
    }
  }

  private static double mean(float[] values) {
    double sum = 0;
    for (float v : values) {
      sum += v;
    }
    return sum / values.length;
  }

  @Test
  void aRandomModelGeneratesTheSameTwice() {
    ModelConfig config = ModelConfig.load(GoldenCase.MODEL);
    Tokenizer tokenizer = Tokenizer.load(GoldenCase.MODEL);
    int[][] ids = new int[2][];
    for (int i = 0; i < 2; i++) {
      try (DiffusionVl model = DiffusionVl.random(device, config, tokenizer, DType.BF16, 11); Session session = model.newSession()) {
        ids[i] = session.generate(Request.of("What is this?"), GenerationOptions.DEFAULTS.withGenLength(8)).tokenIds();
      }
    }
    assertArrayEquals(ids[0], ids[1]);
  }
}
