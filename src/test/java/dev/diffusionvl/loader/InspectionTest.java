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
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/** Checkpoints of the released models' shapes, as sparse files: real headers, no data. */
class InspectionTest {
  @TempDir
  private Path folder;

  /** Sizes of spec 1; the counts are its sums. */
  enum Released {
    VL_3B(NamingScheme.D, 2048, 36, 16, 2, 11008, 151936, true, 824, 3_754_622_976L, 36_864),
    VL_7B(NamingScheme.D, 3584, 28, 28, 4, 18944, 152064, false, 729, 8_292_166_656L, 57_344),
    QWEN_7B(NamingScheme.E, 3584, 28, 28, 4, 18944, 152064, false, 765, 8_030_348_832L, 57_344);

    private final NamingScheme scheme;
    private final int hidden;
    private final String config;
    private final int tensors;
    private final long parameters;
    private final long cacheBytes;

    Released(NamingScheme scheme, int hidden, int layers, int heads, int kvHeads, int intermediate, int vocabulary,
        boolean tied, int tensors, long parameters, long cacheBytes) {
      this.scheme = scheme;
      this.hidden = hidden;
      this.config = """
          "hidden_size": %d, "num_hidden_layers": %d, "num_attention_heads": %d, "num_key_value_heads": %d,
          "intermediate_size": %d, "vocab_size": %d, "tie_word_embeddings": %b, "max_position_embeddings": 32768,
          "rms_norm_eps": 1e-06, "rope_theta": 1000000.0, "use_sliding_window": false, "sliding_window": 32768,
          "eos_token_id": 151645, "bd3lm_block_size": 8""".formatted(hidden, layers, heads, kvHeads, intermediate,
          vocabulary, tied);
      this.tensors = tensors;
      this.parameters = parameters;
      this.cacheBytes = cacheBytes;
    }

    String configJson() {
      if (scheme == NamingScheme.E) {
        return "{\"model_type\": \"diffusionvl_qwen\", " + config + "}";
      }
      return "{\"model_type\": \"diffusionvl_qwenvl\", " + config + """
          , "vision_config": {"depth": 32, "hidden_size": 1280, "num_heads": 16, "intermediate_size": 3420,
          "patch_size": 14, "temporal_patch_size": 2, "spatial_merge_size": 2, "window_size": 112, "in_chans": 3,
          "fullatt_block_indexes": [7, 15, 23, 31], "out_hidden_size": %d}}""".formatted(hidden);
    }
  }

  @ParameterizedTest
  @EnumSource(Released.class)
  void releasedShapesAreRecognisedCountedAndComplete(Released model) throws IOException {
    write(model, tensors(model), model.scheme, 4);
    Inspection.of(folder); // warm
    long start = System.nanoTime();
    Inspection inspection = Inspection.of(folder);
    long milliseconds = (System.nanoTime() - start) / 1_000_000;
    assertEquals(model.scheme, inspection.scheme());
    assertEquals(model.scheme == NamingScheme.E ? "diffusionvl-qwen" : "diffusionvl-qwenvl", inspection.family());
    assertEquals(model.parameters, inspection.parameters());
    assertEquals(2 * model.parameters, inspection.bytes());
    assertEquals(2 * model.parameters, inspection.weightBytes());
    assertEquals(model.cacheBytes, inspection.cacheBytesPerToken());
    assertEquals("BF16", inspection.dtype());
    assertTrue(inspection.diffusion() && inspection.complete());
    assertEquals(List.of(), inspection.unexpected());
    // reading 16 GB would take seconds
    assertTrue(milliseconds < 1000, milliseconds + " ms");
  }

  @ParameterizedTest
  @EnumSource(Released.class)
  void eachKindOfTensorIsMissedByName(Released model) throws IOException {
    Map<String, Tensor> all = tensors(model);
    assertEquals(model.tensors, all.size());
    // one of each kind: those of layer 3 stand for all layers
    for (String name : all.keySet()) {
      if (name.matches(".*(layers|blocks)\\.(?!3\\.)\\d+\\..*")) {
        continue;
      }
      Map<String, Tensor> less = new LinkedHashMap<>(all);
      less.remove(name);
      write(model, less, model.scheme, 1);
      Inspection inspection = Inspection.of(folder);
      assertFalse(inspection.complete());
      assertEquals(List.of(model.scheme.nameInFile(name)), inspection.missing());
    }
  }

  @Test
  void plainBaseModelsAreNoDiffusionModels() throws IOException {
    write(Released.VL_3B, tensors(Released.VL_3B), NamingScheme.A, 2);
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
    Map<String, Tensor> tensors = tensors(Released.QWEN_7B);
    Tensor vector = new Tensor(TensorType.BF16, new long[] {1152}, null);
    tensors.put("siglip.head.probe", vector);
    tensors.put("siglip.encoder.layers.26.layer_norm1.weight", vector);
    tensors.put("siglip.surprise", vector);
    write(Released.QWEN_7B, tensors, NamingScheme.E, 1);
    Inspection inspection = Inspection.of(folder);
    assertEquals(List.of("model.vision_tower.vision_tower.vision_model.surprise"), inspection.unexpected());
    assertEquals(Released.QWEN_7B.parameters, inspection.parameters());
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

  private Map<String, Tensor> tensors(Released model) throws IOException {
    Files.writeString(folder.resolve("config.json"), model.configJson());
    Map<String, Tensor> tensors = new LinkedHashMap<>();
    ModelShapes.of(ModelConfig.load(folder))
        .forEach((name, shape) -> tensors.put(name, new Tensor(TensorType.BF16, shape, null)));
    return tensors;
  }

  private void write(Released model, Map<String, Tensor> tensors, NamingScheme scheme, int shards) throws IOException {
    Path files = Files.createTempDirectory(folder, "files");
    Files.writeString(files.resolve("config.json"), model.configJson());
    Files.deleteIfExists(folder.resolve("config.json"));
    CheckpointWriter.writeModel(folder, files, tensors, scheme, shards);
  }
}
