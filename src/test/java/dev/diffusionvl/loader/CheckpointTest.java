// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.loader;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.diffusionvl.loader.TestCheckpoints.Tensor;
import dev.diffusionvl.model.GoldenCase;
import java.io.IOException;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class CheckpointTest {
  private static final Map<String, Tensor> TINY = TestCheckpoints.read(GoldenCase.MODEL);
  private static final ModelConfig CONFIG = ModelConfig.load(GoldenCase.MODEL);
  private static final String UP = "layers.2.mlp.up_proj.weight";

  @TempDir
  private Path folder;

  @Test
  void tinyModelIsComplete() {
    try (Checkpoint checkpoint = Checkpoint.open(GoldenCase.MODEL)) {
      checkpoint.requireComplete(CONFIG);
      assertEquals(NamingScheme.DIFFUSION_VL, checkpoint.scheme());
      assertEquals(ModelShapes.of(CONFIG).keySet(), checkpoint.names());
      assertFalse(checkpoint.contains(ModelShapes.LM_HEAD));
      assertThrows(BadInputException.class, () -> checkpoint.tensor(ModelShapes.LM_HEAD));
    }
  }

  @ParameterizedTest
  @CsvSource({"QWEN_VL, 1, BF16", "QWEN_VL, 3, F32", "QWEN_VL_RESAVED, 1, F32", "QWEN_VL_RESAVED, 2, BF16",
    "SEPARATE_FILES, 1, F32", "SEPARATE_FILES, 2, BF16", "DIFFUSION_VL, 1, F32",
    "DIFFUSION_VL, 5, BF16"})
  void everySchemeGivesTheSameTensors(NamingScheme scheme, int shards, TensorType type) {
    Path model = folder.resolve("model");
    Map<String, Tensor> converted = new LinkedHashMap<>();
    TINY.forEach((name, tensor) -> converted.put(name, TestCheckpoints.convert(tensor, type)));
    TestCheckpoints.writeModel(model, GoldenCase.MODEL, converted, scheme, shards);
    try (Checkpoint original = Checkpoint.open(GoldenCase.MODEL); Checkpoint rewritten = Checkpoint.open(model)) {
      assertEquals(scheme, rewritten.scheme());
      rewritten.requireComplete(CONFIG);
      assertEquals(original.names(), rewritten.names());
      for (String name : original.names()) {
        assertEquals(-1, mismatch(original.tensor(name), rewritten.tensor(name)), name);
      }
    }
    Inspection inspection = Inspection.of(model);
    assertTrue(inspection.complete());
    assertEquals(scheme, inspection.scheme());
    // (bytes of model.safetensors - 8 - its header) / 2
    assertEquals(5_421_856, inspection.parameters());
    assertEquals(type.name(), inspection.dtype());
    assertTrue(inspection.unexpected().isEmpty(), inspection.unexpected().toString());
  }

  /** Bytes are compared, or what they stand for where the types differ. */
  private static long mismatch(TensorView a, TensorView b) {
    return a.type() == b.type() ? a.data().mismatch(b.data()) : Arrays.mismatch(TestCheckpoints.floats(a), TestCheckpoints.floats(b));
  }

  /** Names that look like another part's canonical names must not become them. */
  @Test
  void languageNamesCannotPoseAsVision() {
    Map<String, Tensor> tensors = new LinkedHashMap<>(TINY);
    Tensor stranger = tensors.remove("vision.blocks.0.norm1.weight");
    write(tensors, NamingScheme.DIFFUSION_VL, "model.vision.blocks.0.norm1.weight", stranger);
    incomplete("model.vision_tower.vision_tower.blocks.0.norm1.weight: missing from the weights");
    Inspection inspection = Inspection.of(folder.resolve("model"));
    assertEquals(1, inspection.missing().size());
    assertEquals("[model.vision.blocks.0.norm1.weight]", inspection.unexpected().toString());
  }

  @Test
  void missingTensorsAreNamed() {
    Map<String, Tensor> tensors = new LinkedHashMap<>(TINY);
    tensors.remove(UP);
    write(tensors);
    incomplete("model.layers.2.mlp.up_proj.weight: missing from the weights");
    tensors.remove("norm.weight");
    write(tensors);
    incomplete("(and 1 more tensors missing or misshaped)");
  }

  @Test
  void misshapedTensorsAreNamed() {
    Map<String, Tensor> tensors = new LinkedHashMap<>(TINY);
    Tensor up = tensors.get(UP);
    tensors.put(UP, new Tensor(up.type(), new long[] {256, 768}, up.data()));
    write(tensors);
    incomplete("model.safetensors: model.layers.2.mlp.up_proj.weight: shape [256, 768], the configuration needs");
    assertEquals("[model.layers.2.mlp.up_proj.weight]", Inspection.of(folder.resolve("model")).misshaped().keySet().toString());
  }

  @Test
  void weightsOfOtherTypesAreNamed() {
    Map<String, Tensor> tensors = new LinkedHashMap<>(TINY);
    tensors.put("norm.weight", new Tensor(TensorType.I32, new long[] {256}, null));
    write(tensors);
    incomplete("model.norm.weight: dtype I32");
  }

  /** A model whose head is not tied does not silently take the embedding for it. */
  @Test
  void untiedModelsNeedTheirHead() throws IOException {
    write(TINY);
    Path config = folder.resolve("model/config.json");
    String tie = "\"tie_word_embeddings\": ";
    Files.writeString(config, Files.readString(config).replace(tie + true, tie + false));
    Inspection untied = Inspection.of(folder.resolve("model"));
    assertEquals("[lm_head.weight]", untied.missing().toString());
    assertFalse(untied.complete());
  }

  /** Where the configuration does not say, the weights do: there is a head of its own, or the index promises one. */
  @Test
  void whatTheConfigurationLeavesOpenTheWeightsDecide() throws IOException {
    Path model = folder.resolve("model");
    TestCheckpoints.writeModel(model, GoldenCase.MODEL, TINY, NamingScheme.DIFFUSION_VL, 2);
    Path config = model.resolve("config.json");
    Files.writeString(config, Files.readString(config).replace("\"tie_word_embeddings\": true", "\"unused\": null"));
    assertTrue(ModelConfig.load(model).text().tieWordEmbeddings());
    assertTrue(Inspection.of(model).complete());

    Path index = model.resolve("model.safetensors.index.json");
    Files.writeString(index, Files.readString(index)
        .replaceFirst("\"weight_map\" : \\{", "\"weight_map\": {\"lm_head.weight\":\"model-00001-of-00002.safetensors\","));
    assertFalse(ModelConfig.load(model).text().tieWordEmbeddings());
    assertEquals("[lm_head.weight]", Inspection.of(model).missing().toString());

    Map<String, Tensor> tensors = new LinkedHashMap<>(TINY);
    tensors.put(ModelShapes.LM_HEAD, TINY.get("embed_tokens.weight"));
    Files.delete(index);
    write(tensors);
    assertFalse(ModelConfig.load(model).text().tieWordEmbeddings());
    assertEquals(5_421_856 + 1024 * 256, Inspection.of(model).parameters());
  }

  @Test
  void checkpointsOfOtherModelsAreRefused() {
    Path model = folder.resolve("model");
    TestCheckpoints.copyFiles(GoldenCase.MODEL, model);
    TestCheckpoints.write(model.resolve("model.safetensors"),
        Map.of("transformer.h.0.attn.bias", new Tensor(TensorType.F32, new long[] {4}, null)));
    refused("model.safetensors: transformer.h.0.attn.bias: neither this name nor another");
    assertThrows(BadInputException.class, () -> Inspection.of(model));
  }

  @Test
  void aTiedHeadThatIsStoredCountsOnce() {
    Map<String, Tensor> tensors = new LinkedHashMap<>(TINY);
    tensors.put(ModelShapes.LM_HEAD, TINY.get("embed_tokens.weight"));
    write(tensors);
    Inspection inspection = Inspection.of(folder.resolve("model"));
    assertEquals(Inspection.of(GoldenCase.MODEL), inspection);
  }

  @Test
  void theShardsOwnHeaderDecides() throws IOException {
    Path model = folder.resolve("model");
    TestCheckpoints.writeModel(model, GoldenCase.MODEL, TINY, NamingScheme.DIFFUSION_VL, 2);
    Path index = model.resolve("model.safetensors.index.json");
    // the index swaps the shards
    Files.writeString(index, Files.readString(index).replace("00001-of", "x-of").replace("00002-of", "00001-of")
        .replace("x-of", "00002-of"));
    try (Checkpoint checkpoint = Checkpoint.open(model)) {
      checkpoint.requireComplete(CONFIG);
    }
  }

  @Test
  void missingShardsAreNamed() throws IOException {
    Path model = folder.resolve("model");
    TestCheckpoints.writeModel(model, GoldenCase.MODEL, TINY, NamingScheme.QWEN_VL, 4);
    Files.delete(model.resolve("model-00002-of-00004.safetensors"));
    refused("model-00002-of-00004.safetensors: no such file");
    Inspection inspection = Inspection.of(model);
    assertFalse(inspection.complete());
    assertEquals(TINY.size() / 4, inspection.missing().size());
  }

  @Test
  void aTensorInTwoShardsIsRefusedUnlessTheIndexDecides() {
    Path model = folder.resolve("model");
    TestCheckpoints.writeModel(model, GoldenCase.MODEL, TINY, NamingScheme.DIFFUSION_VL, 2);
    Map<String, Tensor> second = new LinkedHashMap<>();
    try (Safetensors file = Safetensors.open(model.resolve("model-00002-of-00002.safetensors"))) {
      file.names().stream().map(file::tensor).forEach(t -> second.put(t.name(), new Tensor(t.type(), t.shape(), null)));
    }
    second.put("model.embed_tokens.weight", new Tensor(TensorType.BF16, new long[] {1024, 256}, null));
    TestCheckpoints.write(model.resolve("model-00002-of-00002.safetensors"), second);
    try (Checkpoint checkpoint = Checkpoint.open(model)) {
      // the copy in the first shard, where the index has it, and not the zeros of the second
      assertTrue(checkpoint.tensor("embed_tokens.weight").floatAt(0) != 0);
    }
    TestCheckpoints.writeText(model.resolve("model.safetensors.index.json"),
        "{\"weight_map\":{\"a\":\"model-00001-of-00002.safetensors\",\"b\":\"model-00002-of-00002.safetensors\"}}");
    refused("model.embed_tokens.weight: is in model-00001-of-00002.safetensors too");
  }

  @ParameterizedTest
  @CsvSource(delimiter = '|', textBlock = """
      {"weight_map":{"a":"../model.safetensors"}}   | weight_map.a: '../model.safetensors' is not the plain name
      {"weight_map":{"a":"/etc/x.safetensors"}}     | weight_map.a: '/etc/x.safetensors' is not the plain name
      {"weight_map":{"a":".safetensors"}}           | weight_map.a: '.safetensors' is not the plain name
      {"weight_map":{"a":"model.bin"}}              | weight_map.a: 'model.bin' is not the plain name
      {"weight_map":{"a":1}}                        | weight_map.a: expected a string
      {"weight_map":{"a":null}}                     | weight_map.a: '' is not the plain name
      {"weight_map":{}}                             | weight_map: is empty
      {"weight_map":[]}                             | weight_map: expected an object
      {}                                            | weight_map: missing
      """)
  void brokenIndexesAreRefused(String index, String problem) throws IOException {
    Path model = Files.createDirectories(folder.resolve("model"));
    TestCheckpoints.copyFiles(GoldenCase.MODEL, model);
    Files.writeString(model.resolve("model.safetensors.index.json"), index);
    refused(problem);
  }

  @Test
  void directoriesWithoutWeightsAreRefused() throws IOException {
    refused("model: no such model directory");
    Path model = Files.createDirectories(folder.resolve("model"));
    refused("model: model.safetensors: no such file");
    Files.writeString(model.resolve("pytorch_model.bin"), "");
    refused("pytorch_model.bin is in a format that is not supported");
  }

  @Test
  void truncatedWeightsAreRefused() throws IOException {
    write(TINY);
    Path file = folder.resolve("model/model.safetensors");
    try (var channel = FileChannel.open(file, StandardOpenOption.WRITE)) {
      channel.truncate(channel.size() - 1);
    }
    refused("truncated?");
  }

  private void write(Map<String, Tensor> tensors) {
    Path model = folder.resolve("model");
    if (Files.exists(model)) {
      Map<String, Tensor> named = new LinkedHashMap<>();
      tensors.forEach((name, tensor) -> named.put(NamingScheme.DIFFUSION_VL.nameInFile(name), tensor));
      TestCheckpoints.write(model.resolve("model.safetensors"), named);
    } else {
      TestCheckpoints.writeModel(model, GoldenCase.MODEL, tensors, NamingScheme.DIFFUSION_VL, 1);
    }
  }

  /** Writes with one more tensor under a name of its own. */
  private void write(Map<String, Tensor> tensors, NamingScheme scheme, String extraName, Tensor extra) {
    write(tensors);
    Map<String, Tensor> named = new LinkedHashMap<>();
    tensors.forEach((name, tensor) -> named.put(scheme.nameInFile(name), tensor));
    named.put(extraName, extra);
    TestCheckpoints.write(folder.resolve("model/model.safetensors"), named);
  }

  private void incomplete(String problem) {
    try (Checkpoint checkpoint = Checkpoint.open(folder.resolve("model"))) {
      BadInputException e = assertThrows(BadInputException.class, () -> checkpoint.requireComplete(CONFIG));
      assertTrue(e.getMessage().contains(problem), e.getMessage());
    }
  }

  private void refused(String problem) {
    BadInputException e = assertThrows(BadInputException.class, () -> Checkpoint.open(folder.resolve("model")).close());
    assertTrue(e.getMessage().contains(problem), e.getMessage());
    assertEquals(1, e.getMessage().lines().count());
  }
}
