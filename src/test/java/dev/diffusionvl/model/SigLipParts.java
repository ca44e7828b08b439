// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.model;

import dev.diffusionvl.loader.ModelConfig;
import dev.diffusionvl.loader.TensorType;
import dev.diffusionvl.loader.TestCheckpoints;
import dev.diffusionvl.loader.TestCheckpoints.Tensor;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.Map;

/** The tiny checkpoint of the SigLIP family taken apart: a language model and a tower in folders as their authors publish them. */
public final class SigLipParts {
  public static final String LANGUAGE_CONFIG = """
      {"architectures": ["Qwen2ForCausalLM"], "model_type": "qwen2",
      "hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2, "num_key_value_heads": 1, "head_dim": 128,
      "intermediate_size": 96, "vocab_size": 1024, "tie_word_embeddings": false, "max_position_embeddings": 1024,
      "rms_norm_eps": 1e-06, "rope_theta": 1000000.0, "use_sliding_window": false, "eos_token_id": 1018}
      """;
  public static final String TOWER_CONFIG = """
      {"architectures": ["SiglipModel"], "model_type": "siglip", "text_config": {"model_type": "siglip_text_model", "hidden_size": 32},
      "vision_config": {"model_type": "siglip_vision_model", "hidden_size": 144, "num_hidden_layers": 3, "hidden_act": "gelu_pytorch_tanh",
      "num_attention_heads": 2, "intermediate_size": 200, "patch_size": 14, "image_size": 62, "layer_norm_eps": 1e-06}}
      """;
  private static final String IMAGE_SETTINGS = """
      {"image_processor_type": "SiglipImageProcessor", "image_mean": [0.5, 0.5, 0.5], "image_std": [0.5, 0.5, 0.5],
      "size": {"height": 62, "width": 62}}
      """;

  private SigLipParts() {}

  /** The weights of both parts, by canonical name. */
  public static Map<String, Tensor> tensors(Path folder) {
    return SigLipCheckpoint.tensors(ModelConfig.load(SigLipCheckpoint.files(folder, SigLipCheckpoint.CONFIG)));
  }

  /** Writes {@code folder/language} and {@code folder/tower}, the latter with all that an original one has and nothing here uses. */
  public static void write(Path folder) {
    Map<String, Tensor> all = tensors(folder.resolve("whole"));
    Map<String, Tensor> language = new LinkedHashMap<>();
    Map<String, Tensor> tower = new LinkedHashMap<>();
    all.forEach((name, tensor) -> {
      if (name.startsWith("siglip.")) {
        tower.put("vision_model." + name.substring("siglip.".length()), tensor);
        if (name.startsWith("siglip.encoder.layers.1.")) { // the layer that is stored and not used
          tower.put("vision_model." + name.substring("siglip.".length()).replace(".layers.1.", ".layers.2."), tensor);
        }
      } else if (name.equals("lm_head.weight")) {
        language.put(name, tensor);
      } else if (!name.startsWith("projector.") && !name.equals("image_newline")) {
        language.put("model." + name, tensor);
      }
    });
    tower.put("vision_model.head.probe", zeros(1, 1, 144));
    tower.put("text_model.final_layer_norm.weight", zeros(32));
    tower.put("logit_scale", zeros(1));
    try {
      Path words = SigLipCheckpoint.files(folder.resolve("language"), LANGUAGE_CONFIG);
      TestCheckpoints.write(words.resolve("model.safetensors"), language);
      Path images = Files.createDirectory(folder.resolve("tower"));
      Files.writeString(images.resolve("config.json"), TOWER_CONFIG);
      Files.writeString(images.resolve("preprocessor_config.json"), IMAGE_SETTINGS);
      Files.writeString(images.resolve("tokenizer_config.json"), "{\"tokenizer_class\": \"GemmaTokenizer\"}");
      TestCheckpoints.write(images.resolve("model.safetensors"), tower);
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  private static Tensor zeros(long... shape) {
    int elements = 1;
    for (long length : shape) {
      elements *= (int) length;
    }
    return new Tensor(TensorType.F32, shape, new byte[4 * elements]);
  }
}
