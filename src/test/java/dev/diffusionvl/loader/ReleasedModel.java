// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.loader;

import dev.diffusionvl.loader.TestCheckpoints.Tensor;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.Map;

/**
 * The released models by their sizes (docs/model.md, "Released models"), as sparse files: real headers, no data. The counts are its sums.
 */
public enum ReleasedModel {
  VL_3B(NamingScheme.DIFFUSION_VL, 2048, 36, 16, 2, 11008, 151936, true, 824, 3_754_622_976L, 36_864),
  VL_7B(NamingScheme.DIFFUSION_VL, 3584, 28, 28, 4, 18944, 152064, false, 729, 8_292_166_656L, 57_344),
  QWEN_7B(NamingScheme.DIFFUSION_VL_SIGLIP, 3584, 28, 28, 4, 18944, 152064, false, 765, 8_030_348_832L, 57_344);

  private final NamingScheme scheme;
  private final int hidden;
  private final String config;
  private final int tensorCount;
  private final long parameters;
  private final long cacheBytes;

  ReleasedModel(NamingScheme scheme, int hidden, int layers, int heads, int kvHeads, int intermediate, int vocabulary,
      boolean tied, int tensorCount, long parameters, long cacheBytes) {
    this.scheme = scheme;
    this.hidden = hidden;
    this.config = """
        "hidden_size": %d, "num_hidden_layers": %d, "num_attention_heads": %d, "num_key_value_heads": %d,
        "intermediate_size": %d, "vocab_size": %d, "tie_word_embeddings": %b, "max_position_embeddings": 32768,
        "rms_norm_eps": 1e-06, "rope_theta": 1000000.0, "use_sliding_window": false, "sliding_window": 32768,
        "eos_token_id": 151645, "bd3lm_block_size": 8""".formatted(hidden, layers, heads, kvHeads, intermediate,
        vocabulary, tied);
    this.tensorCount = tensorCount;
    this.parameters = parameters;
    this.cacheBytes = cacheBytes;
  }

  String configJson() {
    if (scheme == NamingScheme.DIFFUSION_VL_SIGLIP) {
      return "{\"model_type\": \"diffusionvl_qwen\", " + config + """
          , "image_aspect_ratio": "anyres_max_4", "mm_patch_merge_type": "spatial_unpad", "mm_projector_type": "mlp2x_gelu",
          "mm_vision_tower": "/data/siglip2-so400m-patch14-384", "mm_vision_select_layer": -2}""";
    }
    return "{\"model_type\": \"diffusionvl_qwenvl\", " + config + """
        , "vision_config": {"depth": 32, "hidden_size": 1280, "num_heads": 16, "intermediate_size": 3420,
        "patch_size": 14, "temporal_patch_size": 2, "spatial_merge_size": 2, "window_size": 112, "in_chans": 3,
        "fullatt_block_indexes": [7, 15, 23, 31], "out_hidden_size": %d}}""".formatted(hidden);
  }

  NamingScheme scheme() {
    return scheme;
  }

  /** How many tensors the release has. */
  int tensorCount() {
    return tensorCount;
  }

  public long parameters() {
    return parameters;
  }

  long cacheBytes() {
    return cacheBytes;
  }

  /** All tensors by canonical name. */
  Map<String, Tensor> tensors() throws IOException {
    Path folder = Files.createTempDirectory("dvl-config");
    try {
      Path config = Files.writeString(folder.resolve("config.json"), configJson());
      Map<String, Tensor> tensors = new LinkedHashMap<>();
      ModelShapes.of(ModelConfig.load(folder))
          .forEach((name, shape) -> tensors.put(name, new Tensor(TensorType.BF16, shape, null)));
      Files.delete(config);
      return tensors;
    } finally {
      Files.delete(folder);
    }
  }

  /** Writes config.json and the headers of the weights; returns the tensors by canonical name. */
  public Map<String, Tensor> write(Path folder, NamingScheme scheme, int shards) throws IOException {
    Map<String, Tensor> tensors = tensors();
    write(folder, scheme, shards, tensors);
    return tensors;
  }

  /** As above with other tensors. */
  public void write(Path folder, NamingScheme scheme, int shards, Map<String, Tensor> tensors) throws IOException {
    Files.writeString(folder.resolve("config.json"), configJson());
    TestCheckpoints.writeWeights(folder, tensors, scheme, shards);
  }
}
