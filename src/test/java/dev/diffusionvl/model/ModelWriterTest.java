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
import dev.diffusionvl.loader.ModelFamily;
import dev.diffusionvl.loader.ModelShapes;
import dev.diffusionvl.loader.NamingScheme;
import dev.diffusionvl.loader.TensorType;
import dev.diffusionvl.loader.TestCheckpoints;
import dev.diffusionvl.loader.TestCheckpoints.Tensor;
import dev.diffusionvl.runtime.DType;
import dev.diffusionvl.runtime.Device;
import dev.diffusionvl.runtime.DeviceBuffer;
import dev.diffusionvl.runtime.DeviceSpec;
import dev.diffusionvl.runtime.Stream;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.TreeSet;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/** Checkpoints that are loaded in the type in which they are stored and written back: every byte of every tensor, every other file. */
class ModelWriterTest {
  @TempDir private Path folder;
  private Device device;

  @BeforeEach
  void open() {
    device = Device.open(DeviceSpec.parse(System.getProperty("dvl.device", "auto")));
  }

  @AfterEach
  void close() {
    device.close();
  }

  /** Loads, writes and compares; returns the copy. */
  private Path copy(Path base, DType dtype) throws IOException {
    Path copy = folder.resolve("copy");
    try (DiffusionVl model = DiffusionVl.load(device, base, dtype)) {
      assertEquals(List.of(), ModelWriter.write(copy, device, model.parameters(), base, Map.of()));
    }
    Map<String, Tensor> expected = TestCheckpoints.read(base);
    Map<String, Tensor> actual = TestCheckpoints.read(copy);
    assertEquals(expected.keySet(), actual.keySet());
    expected.forEach((name, tensor) -> {
      assertEquals(tensor.type(), actual.get(name).type(), name);
      assertArrayEquals(tensor.shape(), actual.get(name).shape(), name);
      assertArrayEquals(tensor.data(), actual.get(name).data(), name);
    });
    try (Checkpoint from = Checkpoint.open(base); Checkpoint to = Checkpoint.open(copy)) {
      assertEquals(from.scheme(), to.scheme());
    }
    for (Path file : files(base)) {
      if (!file.toString().contains("safetensors")) {
        assertArrayEquals(Files.readAllBytes(file), Files.readAllBytes(copy.resolve(file.getFileName())), file.toString());
      }
    }
    return copy;
  }

  private static List<Path> files(Path folder) throws IOException {
    try (var files = Files.list(folder)) {
      return files.sorted().toList();
    }
  }

  /** The demo model has a tied head and feed-forward layers of the tower that are padded on the device. */
  @ParameterizedTest
  @EnumSource(NamingScheme.class)
  void demoModelComesBackInEveryScheme(NamingScheme scheme) throws IOException {
    if (scheme.family() != ModelFamily.QWEN_VL) {
      return;
    }
    Map<String, Tensor> tensors = TestCheckpoints.read(GoldenCase.MODEL);
    Map<String, Tensor> wide = new LinkedHashMap<>();
    tensors.forEach((name, tensor) -> wide.put(name, TestCheckpoints.convert(tensor, TensorType.F32)));
    TestCheckpoints.writeModel(folder.resolve("base"), GoldenCase.MODEL, wide, scheme, 1);
    Path copy = copy(folder.resolve("base"), DType.F32);
    assertEquals(scheme == NamingScheme.SEPARATE_FILES, Files.exists(copy.resolve("vision_tower.safetensors")));
  }

  @Test
  void demoModelComesBackInBf16() throws IOException {
    copy(GoldenCase.MODEL, DType.BF16);
  }

  /** Its patch embedding is channels last on the device, and its last norm is not loaded at all. */
  @Test
  void sigLipModelComesBack() throws IOException {
    Path base = folder.resolve("base");
    SigLipCheckpoint.write(base);
    copy(base, DType.BF16);
  }

  @Test
  void aStoredHeadThatIsTiedIsTheEmbedding() throws IOException {
    Map<String, Tensor> tensors = TestCheckpoints.read(GoldenCase.MODEL);
    tensors.put(ModelShapes.LM_HEAD, tensors.get(ModelShapes.EMBEDDING));
    TestCheckpoints.writeModel(folder.resolve("base"), GoldenCase.MODEL, tensors, NamingScheme.DIFFUSION_VL, 1);
    copy(folder.resolve("base"), DType.BF16);
  }

  /** What is on the device is written, not what the base has. */
  @Test
  void changedWeightsAndFieldsAreWritten() throws IOException {
    Path copy = folder.resolve("copy");
    Tensor before = TestCheckpoints.read(GoldenCase.MODEL).get("layers.1.self_attn.k_proj.weight");
    try (DiffusionVl model = DiffusionVl.load(device, GoldenCase.MODEL, DType.BF16); Stream stream = device.newStream()) {
      Parameters parameters = model.parameters();
      DeviceBuffer k = parameters.data(parameters.entry("layers.1.self_attn.k_proj.weight"));
      stream.fill(k, 0x3f);
      stream.synchronize();
      ModelWriter.write(copy, device, parameters, GoldenCase.MODEL, Map.of("bd3lm_block_size", 4, "note", "trained"));
    }
    Map<String, Tensor> base = TestCheckpoints.read(GoldenCase.MODEL);
    TestCheckpoints.read(copy).forEach((name, tensor) -> {
      byte[] expected = base.get(name).data();
      if (name.equals("layers.1.self_attn.k_proj.weight")) {
        expected = new byte[before.data().length];
        Arrays.fill(expected, (byte) 0x3f);
      }
      assertArrayEquals(expected, tensor.data(), name);
    });
    ObjectMapper json = new ObjectMapper();
    ObjectNode config = (ObjectNode) json.readTree(GoldenCase.MODEL.resolve("config.json").toFile());
    config.put("bd3lm_block_size", 4).put("note", "trained");
    assertEquals(config, json.readTree(copy.resolve("config.json").toFile()));
  }

  @Test
  void nothingIsLeftWhenTheTargetCannotBe() throws IOException {
    try (DiffusionVl model = DiffusionVl.load(device, GoldenCase.MODEL, DType.BF16)) {
      Path there = Files.createDirectory(folder.resolve("there"));
      for (Path target : new Path[] {there, folder.resolve("no/such"), Files.createSymbolicLink(folder.resolve("link"), there)}) {
        String message = assertThrows(BadInputException.class,
            () -> ModelWriter.write(target, device, model.parameters(), GoldenCase.MODEL, Map.of())).getMessage();
        assertTrue(message.startsWith(target.toString()), message);
      }
      model.parameters().close();
      assertThrows(IllegalStateException.class,
          () -> ModelWriter.write(folder.resolve("closed"), device, model.parameters(), GoldenCase.MODEL, Map.of()));
      assertEquals(List.of(), files(there));
      assertEquals(List.of(folder.resolve("link"), there), files(folder));
    }
  }

  /** Every tensor that inference uses is listed once, inside its buffer, and none of them overlaps another. */
  @Test
  void entriesTileTheBuffers() throws IOException {
    Path base = folder.resolve("base");
    SigLipCheckpoint.write(base);
    for (Path checkpoint : new Path[] {base, GoldenCase.MODEL}) {
      try (DiffusionVl model = DiffusionVl.load(device, checkpoint, DType.BF16)) {
        TreeSet<String> expected = new TreeSet<>(ModelShapes.of(model.config()).keySet());
        expected.removeIf(name -> name.startsWith("siglip.post_layernorm"));
        TreeSet<String> listed = new TreeSet<>();
        long[] end = new long[model.parameters().buffers().size()];
        for (Parameter entry : model.parameters().entries()) {
          listed.add(entry.name());
          assertArrayEquals(ModelShapes.of(model.config()).get(entry.name()), entry.shape(), entry.name());
          assertTrue(entry.offset() >= end[entry.buffer()], entry.toString());
          end[entry.buffer()] = entry.offset() + entry.storedElements();
          assertTrue(end[entry.buffer()] <= model.parameters().buffers().get(entry.buffer()).elements(), entry.toString());
        }
        assertEquals(expected, listed);
        assertFalse(model.parameters().contains("siglip.post_layernorm.weight"));
      }
    }
  }
}
