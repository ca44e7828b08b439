// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.loader;

import dev.diffusionvl.loader.TestCheckpoints.Tensor;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/** Models that DiffusionVL is made from, by their sizes, as sparse files: real headers, no data. The configurations' fields are theirs. */
enum StockModel {
  QWEN_VL_3B("qwen2_5_vl", 2048, 36, 16, 2, 11008, 151936, true, 128000, 3_754_622_976L),
  QWEN_VL_7B("qwen2_5_vl", 3584, 28, 28, 4, 18944, 152064, false, 128000, 8_292_166_656L),
  QWEN_7B("qwen2", 3584, 28, 28, 4, 18944, 152064, false, 32768, 7_615_616_512L);

  private final boolean vision;
  private final String config;
  private final long parameters;

  StockModel(String type, int hidden, int layers, int heads, int kvHeads, int intermediate, int vocabulary, boolean tied, int positions,
      long parameters) {
    this.vision = type.equals("qwen2_5_vl");
    this.parameters = parameters;
    String text = """
        {"architectures": ["%s"], "attention_dropout": 0.0, "bos_token_id": 151643, "eos_token_id": 151645, "hidden_act": "silu",
        "hidden_size": %d, "initializer_range": 0.02, "intermediate_size": %d, "max_position_embeddings": %d, "max_window_layers": 70,
        "model_type": "%s", "num_attention_heads": %d, "num_hidden_layers": %d, "num_key_value_heads": %d, "rms_norm_eps": 1e-06,
        "rope_theta": 1000000.0, "sliding_window": 32768, "tie_word_embeddings": %b, "torch_dtype": "bfloat16", "use_cache": true,
        "use_sliding_window": false, "vocab_size": %d""".formatted(vision ? "Qwen2_5_VLForConditionalGeneration" : "Qwen2ForCausalLM",
        hidden, intermediate, positions, type, heads, layers, kvHeads, tied, vocabulary);
    this.config = !vision ? text + "}" : text + """
        , "vision_start_token_id": 151652, "vision_end_token_id": 151653, "vision_token_id": 151654, "image_token_id": 151655,
        "video_token_id": 151656, "rope_scaling": {"type": "mrope", "mrope_section": [16, 24, 24]},
        "vision_config": {"depth": 32, "hidden_act": "silu", "hidden_size": 1280, "intermediate_size": 3420, "num_heads": 16,
        "in_chans": 3, "out_hidden_size": %d, "patch_size": 14, "spatial_merge_size": 2, "spatial_patch_size": 14, "window_size": 112,
        "fullatt_block_indexes": [7, 15, 23, 31], "tokens_per_second": 2, "temporal_patch_size": 2}}""".formatted(hidden);
  }

  List<NamingScheme> schemes() {
    return vision ? List.of(NamingScheme.QWEN_VL, NamingScheme.QWEN_VL_RESAVED) : List.of(NamingScheme.QWEN_VL);
  }

  String family() {
    return vision ? "diffusionvl-qwenvl" : "qwen";
  }

  List<Integer> mropeSection() {
    return vision ? List.of(16, 24, 24) : List.of();
  }

  long parameters() {
    return parameters;
  }

  /** Writes the configuration and the headers of the weights. */
  void write(Path folder, NamingScheme scheme) throws IOException {
    Files.writeString(folder.resolve("config.json"), config);
    Files.writeString(folder.resolve("generation_config.json"), """
        {"bos_token_id": 151643, "pad_token_id": 151643, "do_sample": true, "eos_token_id": [151645, 151643],
        "repetition_penalty": 1.05, "temperature": 0.000001, "transformers_version": "4.49.0"}
        """);
    Map<String, Tensor> tensors = new LinkedHashMap<>();
    ModelShapes.of(ModelConfig.load(folder)).forEach((name, shape) -> tensors.put(name, new Tensor(TensorType.BF16, shape, null)));
    TestCheckpoints.writeWeights(folder, tensors, scheme, 3);
  }
}
