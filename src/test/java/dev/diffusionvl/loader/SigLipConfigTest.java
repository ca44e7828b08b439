// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.loader;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.diffusionvl.loader.AnyresConfig.Resolution;
import dev.diffusionvl.loader.TestCheckpoints.Tensor;
import java.io.IOException;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** config.json of the SigLIP family, and which family a checkpoint is of. */
class SigLipConfigTest {
  private static final ObjectMapper JSON = new ObjectMapper();
  private static final String TOWER = """
      {"model_type": "siglip_vision_model", "hidden_size": 144, "num_hidden_layers": 3, "num_attention_heads": 2,
      "intermediate_size": 200, "patch_size": 14, "image_size": 62}""";
  /** Everything that is read. */
  static final String WITH_EVERY_FIELD = ReleasedModel.QWEN_7B.configJson().replaceAll("}$",
      ", \"image_grid_pinpoints\": [[62, 62], [124, 62], [62, 124]], \"vision_config\": " + TOWER.replaceAll("}$",
      ", \"layer_norm_eps\": 1e-6}}"));

  @TempDir
  private Path folder;

  private ObjectNode config;

  @BeforeEach
  void readReleasedConfig() throws IOException {
    config = (ObjectNode) JSON.readTree(ReleasedModel.QWEN_7B.configJson());
  }

  private ModelConfig load() {
    TestCheckpoints.writeText(folder.resolve("config.json"), config.toString());
    return ModelConfig.load(folder);
  }

  @Test
  void theReleasedTowerNeedsNoSizes() {
    ModelConfig loaded = load();
    assertEquals(ModelFamily.QWEN_SIGLIP, loaded.family());
    assertNull(loaded.vision());
    assertEquals(SigLipConfig.SO400M.withAnyres(new AnyresConfig(AnyresConfig.upToSixBySix(384), 4)), loaded.sigLip());
    assertArrayEquals(new float[] {0.5f, 0.5f, 0.5f}, loaded.imageMean());
    assertArrayEquals(new float[] {0.5f, 0.5f, 0.5f}, loaded.imageStd());
  }

  @Test
  void aTowerOfOtherSizesIsReadWithoutItsLastLayer() throws IOException {
    config.set("vision_config", JSON.readTree(TOWER));
    assertEquals(new SigLipConfig(144, 2, 2, 200, 14, 62, 1e-6, new AnyresConfig(AnyresConfig.upToSixBySix(62), 4), false),
        load().sigLip());
    assertEquals(16, load().sigLip().positions());
  }

  @Test
  void candidatesComeFromTheConfiguration() throws IOException {
    assertEquals(36, AnyresConfig.upToSixBySix(384).size());
    assertEquals(new Resolution(384, 768), AnyresConfig.upToSixBySix(384).get(1)); // tall ones before the next wider
    config.set("image_grid_pinpoints", JSON.readTree("[[384, 768], [768, 384]]"));
    assertEquals(List.of(new Resolution(384, 768), new Resolution(768, 384)), load().sigLip().anyres().resolutions());
  }

  @Test
  void aspectModes() {
    config.put("image_aspect_ratio", "anyres");
    assertEquals(Double.POSITIVE_INFINITY, load().sigLip().anyres().maxTiles());
    config.put("image_aspect_ratio", "pad");
    assertNull(load().sigLip().anyres());
    config.putNull("image_aspect_ratio");
    assertEquals(SigLipConfig.SO400M, load().sigLip());
    config.put("image_aspect_ratio", "square");
    assertEquals(SigLipConfig.SO400M.withStretchedImages(), load().sigLip());
  }

  @ParameterizedTest
  @CsvSource(delimiter = '|', textBlock = """
      mm_projector_type    | "linear"       | mm_projector_type: 'linear' is not supported
      image_aspect_ratio   | "squares"      | image_aspect_ratio: 'squares' is not supported
      image_aspect_ratio   | "anyres_max_0" | image_aspect_ratio: 'anyres_max_0' is not supported
      image_aspect_ratio   | 4              | image_aspect_ratio: expected a string
      mm_patch_merge_type  | "flat"         | mm_patch_merge_type: 'flat' is not supported
      image_grid_pinpoints | []             | image_grid_pinpoints: has 0 entries
      image_grid_pinpoints | "(1x1)"        | image_grid_pinpoints: expected an array
      image_grid_pinpoints | [[384]]        | image_grid_pinpoints: expected pairs
      image_grid_pinpoints | [[384, 400]]   | image_grid_pinpoints: 400 is no multiple
      image_grid_pinpoints | [[384, 0]]     | image_grid_pinpoints: 0 is out of range
      image_grid_pinpoints | [[384, 39936]] | image_grid_pinpoints: 39936 is out of range
      vision_config        | {"model_type": "qwen2_5_vl"} | vision_config.model_type: 'qwen2_5_vl' is not a SigLIP tower
      vision_config        | {}             | vision_config.hidden_size: missing
      """)
  void impossibleFieldsAreRefused(String name, String value, String problem) throws IOException {
    config.set(name, JSON.readTree(value));
    refused(problem);
  }

  @ParameterizedTest
  @CsvSource(delimiter = '|', textBlock = """
      hidden_size         | 145 | vision_config.num_attention_heads: 2 does not divide hidden_size 145
      num_attention_heads | 16  | vision_config.num_attention_heads: 144 / 16 is an odd head size
      num_hidden_layers   | 1   | vision_config.num_hidden_layers: 1 is out of range
      image_size          | 13  | vision_config.image_size: 13 is out of range
      layer_norm_eps      | 0   | vision_config.layer_norm_eps: 0 is out of range
      """)
  void impossibleTowersAreRefused(String name, String value, String problem) throws IOException {
    config.set("vision_config", JSON.readTree(TOWER));
    ((ObjectNode) config.get("vision_config")).set(name, JSON.readTree(value));
    refused(problem);
  }

  private void refused(String problem) {
    BadInputException e = assertThrows(BadInputException.class, this::load);
    assertTrue(e.getMessage().contains(problem), e.getMessage());
    assertEquals(1, e.getMessage().lines().count());
  }

  /** A model_type that says nothing leaves it to the tower's configuration, and without one to the tensors. */
  @Test
  void tensorsTellTheFamilyWhereTheConfigurationDoesNot() throws IOException {
    Map<String, Tensor> siglip = Map.of("siglip.post_layernorm.bias", new Tensor(TensorType.BF16, new long[] {1152}, null));
    Map<String, Tensor> qwen = Map.of("vision.blocks.0.norm1.weight", new Tensor(TensorType.BF16, new long[] {1280}, null));
    for (String type : List.of("", "diffusionvl_something")) {
      config.put("model_type", type);
      write(siglip, NamingScheme.DIFFUSION_VL_SIGLIP);
      assertEquals(ModelFamily.QWEN_SIGLIP, load().family());
      write(qwen, NamingScheme.DIFFUSION_VL);
      refused("vision_config: missing");
    }
    config.set("vision_config", JSON.readTree(TOWER));
    assertEquals(ModelFamily.QWEN_SIGLIP, load().family());
  }

  private void write(Map<String, Tensor> tensors, NamingScheme scheme) {
    TestCheckpoints.writeText(folder.resolve("config.json"), config.toString());
    Map<String, Tensor> named = new java.util.LinkedHashMap<>();
    tensors.forEach((name, tensor) -> named.put(scheme.nameInFile(name), tensor));
    TestCheckpoints.write(folder.resolve("model.safetensors"), named);
  }
}
