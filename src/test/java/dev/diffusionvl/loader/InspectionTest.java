// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.loader;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.diffusionvl.loader.TestCheckpoints.Tensor;
import dev.diffusionvl.model.GoldenCase;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
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
    assertEquals(model.scheme() == NamingScheme.DIFFUSION_VL_SIGLIP ? "diffusionvl-qwen" : "diffusionvl-qwenvl", inspection.family());
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
    write(ReleasedModel.VL_3B, ReleasedModel.VL_3B.tensors(), NamingScheme.QWEN_VL, 2);
    Path config = folder.resolve("config.json");
    Files.writeString(config, Files.readString(config).replace("diffusionvl_qwenvl", "qwen2_5_vl")
        .replace(", \"bd3lm_block_size\": 8", ""));
    Inspection inspection = Inspection.of(folder);
    assertFalse(inspection.diffusion());
    assertEquals(NamingScheme.QWEN_VL, inspection.scheme());
    assertTrue(inspection.complete());
  }

  /** Original Qwen2.5-VL, as it was and saved again, and Qwen2.5 without a tower: their config.json as published, by its fields. */
  @ParameterizedTest
  @EnumSource(StockModel.class)
  void stockModelsAreAutoregressive(StockModel model) throws IOException {
    for (NamingScheme scheme : model.schemes()) {
      empty();
      model.write(folder, scheme);
      Inspection inspection = Inspection.of(folder);
      assertEquals("autoregressive", inspection.decoding());
      assertFalse(inspection.diffusion());
      assertEquals(model.family(), inspection.family());
      assertEquals(scheme, inspection.scheme());
      assertTrue(inspection.complete(), inspection.missing().toString());
      assertEquals(List.of(), inspection.unexpected());
      assertEquals(model.parameters(), inspection.parameters());
      assertTrue(inspection.toJson().contains("\"decoding\":\"autoregressive\""));
      ModelConfig config = ModelConfig.load(folder);
      assertEquals(model.mropeSection(), config.mropeSection());
      assertEquals(List.of(151645, 151643), config.eosTokenIds());
    }
  }

  /** What an original SigLIP2 checkpoint has beyond the layers in use is no surprise; other names are. */
  @Test
  void leftoversAreToldFromSurprises() throws IOException {
    Map<String, Tensor> tensors = ReleasedModel.QWEN_7B.tensors();
    Tensor vector = new Tensor(TensorType.BF16, new long[] {1152}, null);
    tensors.put("siglip.head.probe", vector);
    tensors.put("siglip.encoder.layers.26.layer_norm1.weight", vector);
    tensors.put("siglip.surprise", vector);
    write(ReleasedModel.QWEN_7B, tensors, NamingScheme.DIFFUSION_VL_SIGLIP, 1);
    Inspection inspection = Inspection.of(folder);
    assertEquals(List.of("model.vision_tower.vision_tower.vision_model.surprise"), inspection.unexpected());
    assertEquals(ReleasedModel.QWEN_7B.parameters(), inspection.parameters());
    assertTrue(inspection.complete());
  }

  /** The other half of a SigLIP2 model, under its own names or the tower's. */
  @Test
  void theTextModelOfAnOriginalTowerIsIgnored() throws IOException {
    write(ReleasedModel.QWEN_7B, ReleasedModel.QWEN_7B.tensors(), NamingScheme.DIFFUSION_VL_SIGLIP, 2);
    Tensor vector = new Tensor(TensorType.BF16, new long[] {1152}, null);
    Map<String, Tensor> more = new LinkedHashMap<>();
    Map<String, String> index = new LinkedHashMap<>();
    for (String name : List.of("logit_scale", "logit_bias", "text_model.embeddings.token_embedding.weight", "text_model.head.bias",
        "logits")) {
      for (String prefix : List.of("", "model.vision_tower.vision_tower.")) {
        more.put(prefix + name, vector);
        index.put(prefix + name, "more.safetensors");
      }
    }
    TestCheckpoints.write(folder.resolve("more.safetensors"), more);
    Path file = folder.resolve("model.safetensors.index.json");
    ObjectNode json = (ObjectNode) new ObjectMapper().readTree(file.toFile());
    index.forEach(((ObjectNode) json.get("weight_map"))::put);
    Files.writeString(file, json.toString());
    Inspection inspection = Inspection.of(folder);
    assertEquals(List.of("logits", "model.vision_tower.vision_tower.logits"), inspection.unexpected());
    assertTrue(inspection.complete());
    assertEquals(ReleasedModel.QWEN_7B.parameters(), inspection.parameters());
  }

  @Test
  void theTowerOfTheOtherFamilyIsRefused() throws IOException {
    for (ReleasedModel model : List.of(ReleasedModel.VL_7B, ReleasedModel.QWEN_7B)) {
      ReleasedModel other = model == ReleasedModel.VL_7B ? ReleasedModel.QWEN_7B : ReleasedModel.VL_7B;
      write(other, other.tensors(), other.scheme(), 2);
      Files.writeString(folder.resolve("config.json"), model.configJson());
      BadInputException e = assertThrows(BadInputException.class, () -> Inspection.of(folder));
      String tower = model == ReleasedModel.VL_7B ? "SigLIP" : "Qwen2.5-VL";
      assertTrue(e.getMessage().contains("the weights have the " + tower + " vision tower"), e.getMessage());
    }
  }

  @Test
  void aProjectorOfAnotherShapeIsMisshaped() throws IOException {
    Map<String, Tensor> tensors = ReleasedModel.QWEN_7B.tensors();
    tensors.put("projector.0.weight", new Tensor(TensorType.BF16, new long[] {3584, 1024}, null));
    write(ReleasedModel.QWEN_7B, tensors, NamingScheme.DIFFUSION_VL_SIGLIP, 1);
    Inspection inspection = Inspection.of(folder);
    assertEquals(Set.of("model.mm_projector.0.weight"), inspection.misshaped().keySet());
    assertFalse(inspection.complete());
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
    empty();
    model.write(folder, scheme, shards, tensors);
  }

  private void empty() throws IOException {
    try (Stream<Path> files = Files.list(folder)) {
      for (Path file : files.toList()) {
        Files.delete(file);
      }
    }
  }
}
