// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.train;

import dev.diffusionvl.loader.BadInputException;
import dev.diffusionvl.loader.InputFiles;
import dev.diffusionvl.loader.Checkpoint;
import dev.diffusionvl.loader.CheckpointWriter;
import dev.diffusionvl.loader.ModelConfig;
import dev.diffusionvl.loader.ModelFamily;
import dev.diffusionvl.loader.ModelFiles;
import dev.diffusionvl.loader.ModelShapes;
import dev.diffusionvl.loader.NamingScheme;
import dev.diffusionvl.loader.OutputFolder;
import dev.diffusionvl.loader.SafetensorsWriter;
import dev.diffusionvl.loader.SigLipConfig;
import dev.diffusionvl.loader.TensorView;
import dev.diffusionvl.model.DiffusionVl;
import dev.diffusionvl.model.Parameter;
import dev.diffusionvl.runtime.DType;
import dev.diffusionvl.runtime.Stream;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/**
 * Writes a trained model as the reference's training code does: names of scheme D, or E for the SigLIP family, and the fields that its
 * loader reads (docs/model.md, "Checkpoint layouts"). What the SigLIP family has learnt token by token is LLaVA's {@code llava_qwen}.
 */
final class TranslatedCheckpoint {
  private TranslatedCheckpoint() {}

  /**
   * Puts a checkpoint into a folder that may hold other files already; config.json comes last, so that the folder is no checkpoint until
   * all of it is there.
   *
   * @param files that the model was loaded from, whose tokenizer and other files are copied
   * @param objective that it was trained for: what the checkpoint says that it is
   * @param folder exists
   * @throws dev.diffusionvl.loader.OutputException if the disk is full
   */
  static void write(DiffusionVl model, ModelFiles files, Objective objective, Path folder) {
    Path whole = OutputFolder.aside(folder.resolve("checkpoint"));
    Checkpoint checkpoint = files.checkpoint();
    try (Stream stream = model.device().newStream()) {
      List<SafetensorsWriter.Tensor> tensors = new ArrayList<>();
      for (Parameter entry : model.parameters().entries()) {
        tensors.add(model.parameters().toFile(entry, entry.name(), stream));
      }
      for (String name : checkpoint.names()) {
        if (!model.parameters().contains(name) && !name.equals(ModelShapes.LM_HEAD)) { // what inference does not load
          TensorView view = checkpoint.tensor(name);
          tensors.add(SafetensorsWriter.Tensor.of(name, view.type(), view.shape(), view.data()));
        }
      }
      CheckpointWriter.write(whole, files.directories(), scheme(model), tensors, fields(model, objective), SafetensorsWriter.SHARD_BYTES);
    }
    try {
      List<Path> written;
      try (var listed = Files.list(whole)) {
        written = listed.filter(file -> !file.endsWith("config.json")).sorted().toList();
      }
      for (Path file : written) {
        Files.move(file, folder.resolve(file.getFileName()), StandardCopyOption.REPLACE_EXISTING);
      }
      Files.move(whole.resolve("config.json"), folder.resolve("config.json"), StandardCopyOption.REPLACE_EXISTING);
      Files.delete(whole);
    } catch (IOException e) {
      throw BadInputException.of(folder, "cannot be written: " + InputFiles.reason(e));
    }
  }

  /** Names of tensors in a trained checkpoint. */
  static NamingScheme scheme(DiffusionVl model) {
    return model.config().family() == ModelFamily.QWEN_SIGLIP ? NamingScheme.DIFFUSION_VL_SIGLIP : NamingScheme.DIFFUSION_VL;
  }

  /** Fields of config.json in which a trained checkpoint differs from its base. */
  private static Map<String, Object> fields(DiffusionVl model, Objective objective) {
    ModelConfig config = model.config();
    boolean sigLip = config.family() == ModelFamily.QWEN_SIGLIP;
    // Of the Qwen-VL family only a model with its three positions per row would be what its base is.
    boolean autoregressive = sigLip && objective instanceof AutoregressiveObjective;
    Map<String, Object> fields = new LinkedHashMap<>();
    fields.put("architectures", List.of(autoregressive ? "LlavaQwenForCausalLM"
        : sigLip ? "DiffusionVLQwenForCausalLM" : "DiffusionVLQwenVLForCausalLM"));
    fields.put("model_type", autoregressive ? "llava_qwen" : sigLip ? "diffusionvl_qwen" : "diffusionvl_qwenvl");
    fields.put("torch_dtype", model.dtype() == DType.BF16 ? "bfloat16" : "float32");
    fields.put("mask_token_id", config.maskTokenId()); // also where it has no use yet: a next stage takes it
    fields.put("enable_bd3lm", !autoregressive);
    fields.put("bd3lm_block_size", autoregressive ? null : config.blockSize());
    if (!autoregressive) {
      fields.put("bd3lm_block_aligned_eos", true);
      fields.put("bd3lm_antithetic_sampling", true);
      fields.put("bd3lm_sampling_eps_min", BlockDiffusionObjective.LOWEST);
      fields.put("bd3lm_sampling_eps_max", 1.0);
    }
    fields.put("mm_projector_type", sigLip ? "mlp2x_gelu" : "qwen_merger");
    fields.put("mm_use_im_patch_token", false);
    fields.put("mm_use_im_start_end", false);
    fields.put("mm_vision_select_layer", -2);
    fields.put("mm_vision_select_feature", "patch");
    fields.put("use_mm_proj", true);
    if (sigLip) {
      put(config.sigLip(), fields);
    } else {
      fields.put("mm_vision_tower", "qwen");
      fields.put("mm_patch_merge_type", "flat");
      fields.put("image_aspect_ratio", "pad");
    }
    fields.put("min_pixels", config.minPixels());
    fields.put("max_pixels", config.maxPixels());
    fields.put("tokenizer_model_max_length", config.tokenizerModelMaxLength());
    fields.put("tokenizer_padding_side", "right");
    return fields;
  }

  /**
   * What is said of the SigLIP tower and its images. The reference tells the tower by its name, and takes the sizes of the released one;
   * they are written where they differ.
   */
  private static void put(SigLipConfig tower, Map<String, Object> fields) {
    boolean released = tower.withStretchedImages().equals(SigLipConfig.SO400M.withStretchedImages());
    fields.put("mm_vision_tower", released ? "google/siglip2-so400m-patch14-384" : "siglip");
    fields.put("mm_hidden_size", tower.hiddenSize());
    fields.put("image_aspect_ratio", tower.images());
    fields.put("mm_patch_merge_type", tower.stretched() ? "flat" : "spatial_unpad"); // the latter would add a newline to a square
    fields.put("image_grid_pinpoints", tower.anyres() == null ? null
        : tower.anyres().resolutions().stream().map(canvas -> List.of(canvas.width(), canvas.height())).toList());
    if (!released) {
      Map<String, Object> sizes = new LinkedHashMap<>();
      sizes.put("model_type", "siglip_vision_model");
      sizes.put("hidden_size", tower.hiddenSize());
      sizes.put("num_hidden_layers", tower.layers() + 1); // the last one is never used, and not stored
      sizes.put("num_attention_heads", tower.heads());
      sizes.put("intermediate_size", tower.intermediateSize());
      sizes.put("patch_size", tower.patchSize());
      sizes.put("image_size", tower.imageSize());
      sizes.put("layer_norm_eps", tower.layerNormEps());
      fields.put("vision_config", sizes);
    }
  }
}
