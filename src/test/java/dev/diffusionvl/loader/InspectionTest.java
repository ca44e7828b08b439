// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.loader;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import dev.diffusionvl.loader.CheckpointWriter.Tensor;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/** Checkpoints of the released models' shapes, as sparse files: real headers, no data. */
class InspectionTest {
  @TempDir
  private Path folder;

  @ParameterizedTest
  @EnumSource(ReleasedModel.class)
  void releasedShapesAreRecognisedCountedAndComplete(ReleasedModel model) throws IOException {
    write(model, model.tensors(), model.scheme(), 4);
    Inspection.of(folder); // warm
    long start = System.nanoTime();
    Inspection inspection = Inspection.of(folder);
    long milliseconds = (System.nanoTime() - start) / 1_000_000;
    assertEquals(model.scheme(), inspection.scheme());
    assertEquals(model.scheme() == NamingScheme.E ? "diffusionvl-qwen" : "diffusionvl-qwenvl", inspection.family());
    assertEquals(model.parameters(), inspection.parameters());
    assertEquals(2 * model.parameters(), inspection.bytes());
    assertEquals(2 * model.parameters(), inspection.weightBytes());
    assertEquals(model.cacheBytes(), inspection.cacheBytesPerToken());
    assertEquals("BF16", inspection.dtype());
    assertTrue(inspection.diffusion() && inspection.complete());
    assertEquals(List.of(), inspection.unexpected());
    // reading 16 GB would take seconds
    assertTrue(milliseconds < 1000, milliseconds + " ms");
  }

  @ParameterizedTest
  @EnumSource(ReleasedModel.class)
  void eachKindOfTensorIsMissedByName(ReleasedModel model) throws IOException {
    Map<String, Tensor> all = model.tensors();
    assertEquals(model.tensorCount(), all.size());
    // one of each kind: those of layer 3 stand for all layers
    for (String name : all.keySet()) {
      if (name.matches(".*(layers|blocks)\\.(?!3\\.)\\d+\\..*")) {
        continue;
      }
      Map<String, Tensor> less = new LinkedHashMap<>(all);
      less.remove(name);
      write(model, less, model.scheme(), 1);
      Inspection inspection = Inspection.of(folder);
      assertFalse(inspection.complete());
      assertEquals(List.of(model.scheme().nameInFile(name)), inspection.missing());
    }
  }

  @Test
  void plainBaseModelsAreNoDiffusionModels() throws IOException {
    write(ReleasedModel.VL_3B, ReleasedModel.VL_3B.tensors(), NamingScheme.A, 2);
    Path config = folder.resolve("config.json");
    Files.writeString(config, Files.readString(config).replace("diffusionvl_qwenvl", "qwen2_5_vl")
        .replace(", \"bd3lm_block_size\": 8", ""));
    Inspection inspection = Inspection.of(folder);
    assertFalse(inspection.diffusion());
    assertEquals(NamingScheme.A, inspection.scheme());
    assertTrue(inspection.complete());
  }

  /** What an original SigLIP2 checkpoint has beyond the layers in use is no surprise; other names are. */
  @Test
  void leftoversAreToldFromSurprises() throws IOException {
    Map<String, Tensor> tensors = ReleasedModel.QWEN_7B.tensors();
    Tensor vector = new Tensor(TensorType.BF16, new long[] {1152}, null);
    tensors.put("siglip.head.probe", vector);
    tensors.put("siglip.encoder.layers.26.layer_norm1.weight", vector);
    tensors.put("siglip.surprise", vector);
    write(ReleasedModel.QWEN_7B, tensors, NamingScheme.E, 1);
    Inspection inspection = Inspection.of(folder);
    assertEquals(List.of("model.vision_tower.vision_tower.vision_model.surprise"), inspection.unexpected());
    assertEquals(ReleasedModel.QWEN_7B.parameters(), inspection.parameters());
    assertTrue(inspection.complete());
  }

  @Test
  void jsonHasTheFieldsThatScriptsRead() throws IOException {
    JsonNode json = new ObjectMapper().readTree(Inspection.of(GoldenCase.MODEL).toJson());
    assertEquals("diffusionvl-qwenvl", json.get("family").asText());
    assertTrue(json.get("diffusion").asBoolean());
    assertEquals("D", json.get("scheme").asText());
    assertEquals(5_421_856, json.get("parameters").asLong());
    assertEquals(2 * 5_421_856, json.get("bytes").asLong());
    assertEquals("BF16", json.get("dtype").asText());
    assertTrue(json.get("complete").asBoolean());
    for (String list : List.of("missing", "misshaped", "unexpected")) {
      assertTrue(json.get(list).isArray() && json.get(list).isEmpty(), list);
    }
  }

  /** Writes a model into an empty folder. */
  private void write(ReleasedModel model, Map<String, Tensor> tensors, NamingScheme scheme, int shards) throws IOException {
    try (Stream<Path> files = Files.list(folder)) {
      for (Path file : files.toList()) {
        Files.delete(file);
      }
    }
    model.write(folder, scheme, shards, tensors);
  }
}
