// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.model;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.diffusionvl.loader.BadInputException;
import dev.diffusionvl.loader.Checkpoint;
import dev.diffusionvl.loader.ModelFiles;
import dev.diffusionvl.loader.NamingScheme;
import dev.diffusionvl.loader.QuantizedMatrix;
import dev.diffusionvl.loader.TensorType;
import dev.diffusionvl.loader.TestCheckpoints;
import dev.diffusionvl.loader.TestCheckpoints.Tensor;
import dev.diffusionvl.runtime.DType;
import dev.diffusionvl.runtime.Device;
import dev.diffusionvl.runtime.DeviceBuffer;
import dev.diffusionvl.runtime.DeviceSpec;
import dev.diffusionvl.runtime.op.WeightForm;
import dev.diffusionvl.train.TrainingRun;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Random;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** A checkpoint with quantised matrices runs like the same checkpoint with the decoded values written out. */
class QuantizedModelTest {
  @TempDir private Path folder;

  @Test
  void aQuantisedModelRunsAsItsDecodedValuesDo() throws IOException {
    Path quantized = Files.createDirectory(folder.resolve("quantized"));
    Path decoded = Files.createDirectory(folder.resolve("decoded"));
    Map<String, Tensor> tensors = TestCheckpoints.read(GoldenCase.MODEL);
    TestCheckpoints.writeModel(quantized, GoldenCase.MODEL, quantize(tensors), NamingScheme.DIFFUSION_VL, 2);
    addQuantization(quantized);
    TestCheckpoints.writeModel(decoded, GoldenCase.MODEL, decode(quantized, tensors), NamingScheme.DIFFUSION_VL, 1);

    GoldenCase golden = GoldenCase.all().getFirst();
    GenerationResult expected = generate(decoded, golden);
    GenerationResult actual = generate(quantized, golden);
    assertArrayEquals(expected.tokenIds(), actual.tokenIds());
    assertEquals(expected.text(), actual.text());
    assertTrue(actual.generatedTokens() > 0);
  }

  /** Many rows are multiplied by numbers of float16, so it must hold them; few rows never meet them. */
  @Test
  void aWeightBeyondFloat16IsNamed() throws IOException {
    Path quantized = Files.createDirectory(folder.resolve("quantized"));
    Map<String, Tensor> tensors = quantize(TestCheckpoints.read(GoldenCase.MODEL));
    String name = "layers.1.mlp.up_proj.weight";
    ByteBuffer scales = ByteBuffer.wrap(tensors.get(name + "_scale").data()).order(ByteOrder.LITTLE_ENDIAN);
    scales.putShort(6, (short) (Float.floatToIntBits(60000) >> 16)); // of row 3; its codes are 1.875 at most
    TestCheckpoints.writeModel(quantized, GoldenCase.MODEL, tensors, NamingScheme.DIFFUSION_VL, 1);
    addQuantization(quantized);
    try (Device device = Device.open(DeviceSpec.EMULATED)) {
      String message = assertThrows(BadInputException.class, () -> DiffusionVl.load(device, quantized, DType.F16)).getMessage();
      assertTrue(message.matches("tensor .*" + name + ": -?[0-9.E]+ is beyond float16's 65,504; use --dtype bf16"), message);
      DiffusionVl.load(device, quantized, DType.BF16).close();
    }
    scales.putShort(6, (short) (Float.floatToIntBits(30000) >> 16)); // 448 times that would be too much, the codes are less
    TestCheckpoints.writeModel(quantized, GoldenCase.MODEL, tensors, NamingScheme.DIFFUSION_VL, 1);
    addQuantization(quantized);
    try (Device device = Device.open(DeviceSpec.EMULATED)) {
      DiffusionVl.load(device, quantized, DType.F16).close();
    }
  }

  /** What was decoded cannot be told from what was stored: neither training nor writing takes such a model, and nothing is written. */
  @Test
  void aQuantisedModelIsNotWrittenBack() throws IOException {
    Path quantized = Files.createDirectory(folder.resolve("quantized"));
    TestCheckpoints.writeModel(quantized, GoldenCase.MODEL, quantize(TestCheckpoints.read(GoldenCase.MODEL)), NamingScheme.DIFFUSION_VL, 1);
    addQuantization(quantized);
    Path target = folder.resolve("target");
    try (Device device = Device.open(DeviceSpec.EMULATED); ModelFiles files = ModelFiles.open(quantized);
        DiffusionVl loaded = DiffusionVl.load(device, quantized, DType.F32)) {
      String written = assertThrows(BadInputException.class,
          () -> ModelWriter.write(target, device, loaded.parameters(), quantized, Map.of())).getMessage();
      String trained = assertThrows(BadInputException.class, () -> TrainingRun.requireTrainable(files)).getMessage();
      assertTrue(written.startsWith(quantized.resolve("config.json") + ": quantization_config: quantised weights"), written);
      assertTrue(trained.startsWith(quantized.resolve("config.json") + ": quantization_config: quantised weights"), trained);
    }
    assertFalse(Files.exists(target));
  }

  private static void addQuantization(Path model) throws IOException {
    ObjectMapper mapper = new ObjectMapper();
    ObjectNode config = (ObjectNode) mapper.readTree(model.resolve("config.json").toFile());
    config.set("quantization_config", mapper.readTree(Files.readString(Path.of("src/test/resources/quant/configs.json")))
        .get("ct-fp8-channel").get("quantization_config"));
    Files.writeString(model.resolve("config.json"), config.toString());
  }

  /** The language model's matrices in random codes near what they were: what matters is that both sides hold the same numbers. */
  private static Map<String, Tensor> quantize(Map<String, Tensor> tensors) {
    Map<String, Tensor> all = new LinkedHashMap<>();
    Random random = new Random(7);
    tensors.forEach((name, tensor) -> {
      if (!name.matches("layers\\..*proj\\.weight")) {
        all.put(name, tensor);
        return;
      }
      byte[] codes = new byte[(int) (tensor.shape()[0] * tensor.shape()[1])];
      for (int i = 0; i < codes.length; i++) {
        codes[i] = (byte) (random.nextInt(0x40) | random.nextInt(2) << 7);
      }
      ByteBuffer scales = ByteBuffer.allocate((int) (2 * tensor.shape()[0])).order(ByteOrder.LITTLE_ENDIAN);
      while (scales.hasRemaining()) {
        scales.putShort((short) (Float.floatToIntBits(0.02f + random.nextFloat() / 50) >> 16));
      }
      String layer = name.substring(0, name.length() - "weight".length());
      all.put(name, new Tensor(TensorType.F8_E4M3, tensor.shape(), codes));
      all.put(layer + "weight_scale", new Tensor(TensorType.BF16, new long[] {tensor.shape()[0], 1}, scales.array()));
    });
    return all;
  }

  private static Map<String, Tensor> decode(Path quantized, Map<String, Tensor> dense) {
    Map<String, Tensor> all = new LinkedHashMap<>();
    try (Checkpoint checkpoint = Checkpoint.open(quantized)) {
      dense.forEach((name, tensor) -> {
        if (checkpoint.format(name) == null) {
          all.put(name, tensor);
          return;
        }
        QuantizedMatrix matrix = checkpoint.matrix(name);
        ByteBuffer values = ByteBuffer.allocate(4 * matrix.out() * matrix.in()).order(ByteOrder.LITTLE_ENDIAN);
        float[] row = new float[matrix.in()];
        for (int i = 0; i < matrix.out(); i++) {
          matrix.decodeRow(i, row);
          for (float value : row) {
            values.putFloat(value);
          }
        }
        all.put(name, new Tensor(TensorType.F32, tensor.shape(), values.array()));
      });
    }
    return all;
  }

  private static GenerationResult generate(Path model, GoldenCase golden) {
    return generate(model, golden, DType.F32, GemmChoice.AUTO);
  }

  private static GenerationResult generate(Path model, GoldenCase golden, DType dtype, GemmChoice gemm) {
    try (Device device = Device.open(DeviceSpec.EMULATED); DiffusionVl loaded = DiffusionVl.load(device, model, dtype);
        Session session = loaded.newSession(gemm)) {
      return session.generate(golden.request(), golden.options(false).withGenLength(16));
    }
  }

  /** In bf16 the codes stay on the device, by either kind of products, and take what the plan says. */
  @Test
  void codesStayCodesInBf16() throws IOException {
    Path quantized = Files.createDirectory(folder.resolve("quantized"));
    Path decoded = Files.createDirectory(folder.resolve("decoded"));
    Map<String, Tensor> tensors = TestCheckpoints.read(GoldenCase.MODEL);
    TestCheckpoints.writeModel(quantized, GoldenCase.MODEL, quantize(tensors), NamingScheme.DIFFUSION_VL, 1);
    addQuantization(quantized);
    TestCheckpoints.writeModel(decoded, GoldenCase.MODEL, decode(quantized, tensors), NamingScheme.DIFFUSION_VL, 1);
    try (Device device = Device.open(DeviceSpec.EMULATED); ModelFiles files = ModelFiles.open(quantized);
        DiffusionVl model = DiffusionVl.load(device, files, DType.BF16, LoadListener.NONE)) {
      assertTrue(model.text().layers().stream().allMatch(layer -> Stream.of(layer.qkv(), layer.output(), layer.gateUp(), layer.down())
          .allMatch(linear -> linear.matrix().form() == WeightForm.FP8)));
      long bytes = model.parameters().buffers().stream().mapToLong(DeviceBuffer::bytes).sum();
      assertEquals(bytes, MemoryNeed.of(files, DType.BF16, 0).weights());
      assertEquals(0, MemoryNeed.of(files, DType.BF16, 0).scratch());
      MemoryNeed need = MemoryNeed.of(files, DType.BF16, 64);
      Linear largestOfLayer = model.text().layers().getFirst().gateUp();
      long largest = (long) largestOfLayer.out() * largestOfLayer.in();
      assertEquals(2 * largest, need.scratch());
      assertEquals(need.weights() + need.cache() + need.scratch(), need.total());
      long before = device.memory().free();
      try (Session session = model.newSession(GemmChoice.CUBLAS)) {
        session.generate(GoldenCase.all().getFirst().request(), GoldenCase.all().getFirst().options(false));
        assertTrue(before - device.memory().free() >= need.cache() + need.scratch());
      }
      long dense = ModelOutline.of(files.config(), DType.BF16).bytes();
      assertTrue(bytes < dense, bytes + " of " + dense);
    }
    GoldenCase golden = GoldenCase.all().getFirst();
    GenerationResult expected = generate(decoded, golden, DType.BF16, GemmChoice.CUBLAS);
    assertArrayEquals(expected.tokenIds(), generate(quantized, golden, DType.BF16, GemmChoice.CUBLAS).tokenIds(), "the same numbers");
    GenerationResult own = generate(quantized, golden, DType.BF16, GemmChoice.OWN);
    assertArrayEquals(own.tokenIds(), generate(quantized, golden, DType.BF16, GemmChoice.OWN).tokenIds());
    assertTrue(own.generatedTokens() > 0);
  }
}
