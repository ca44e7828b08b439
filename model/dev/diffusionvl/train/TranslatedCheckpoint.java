// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.train;

import dev.diffusionvl.loader.BadInputException;
import dev.diffusionvl.loader.Checkpoint;
import dev.diffusionvl.loader.CheckpointWriter;
import dev.diffusionvl.loader.ModelConfig;
import dev.diffusionvl.loader.ModelFamily;
import dev.diffusionvl.loader.NamingScheme;
import dev.diffusionvl.loader.OutputFolder;
import dev.diffusionvl.loader.SafetensorsWriter;
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
 * loader reads (docs/model.md, "Checkpoint layouts").
 */
final class TranslatedCheckpoint {
  private TranslatedCheckpoint() {}

  /**
   * Puts a checkpoint into a folder that may hold other files already; config.json comes last, so that the folder is no checkpoint until
   * all of it is there.
   *
   * @param base the checkpoint that the model was loaded from, whose tokenizer and other files are copied
   * @param folder exists
   * @throws dev.diffusionvl.loader.OutputException if the disk is full
   */
  static void write(DiffusionVl model, Path base, Path folder) {
    Path whole = folder.resolve(".checkpoint");
    OutputFolder.remove(whole);
    try (Checkpoint checkpoint = Checkpoint.open(base); Stream stream = model.device().newStream()) {
      List<SafetensorsWriter.Tensor> tensors = new ArrayList<>();
      for (Parameter entry : model.parameters().entries()) {
        tensors.add(model.parameters().toFile(entry, entry.name(), stream));
      }
      checkpoint.names().stream().filter(name -> !model.parameters().contains(name) && !name.equals("lm_head.weight"))
          .map(checkpoint::tensor) // what inference does not load
          .forEach(view -> tensors.add(SafetensorsWriter.Tensor.of(view.name(), view.type(), view.shape(), view.data())));
      CheckpointWriter.write(whole, base, scheme(model), tensors, fields(model), SafetensorsWriter.SHARD_BYTES);
    }
    try {
      List<Path> files;
      try (var listed = Files.list(whole)) {
        files = listed.filter(file -> !file.endsWith("config.json")).sorted().toList();
      }
      for (Path file : files) {
        Files.move(file, folder.resolve(file.getFileName()), StandardCopyOption.REPLACE_EXISTING);
      }
      Files.move(whole.resolve("config.json"), folder.resolve("config.json"), StandardCopyOption.REPLACE_EXISTING);
      Files.delete(whole);
    } catch (IOException e) {
      throw BadInputException.of(folder, "cannot be written: " + e.getMessage());
    }
  }

  /** Names of tensors in a trained checkpoint. */
  static NamingScheme scheme(DiffusionVl model) {
    return model.config().family() == ModelFamily.QWEN_SIGLIP ? NamingScheme.DIFFUSION_VL_SIGLIP : NamingScheme.DIFFUSION_VL;
  }

  /** Fields of config.json in which a trained checkpoint differs from its base. */
  private static Map<String, Object> fields(DiffusionVl model) {
    ModelConfig config = model.config();
    boolean sigLip = config.family() == ModelFamily.QWEN_SIGLIP;
    Map<String, Object> fields = new LinkedHashMap<>();
    fields.put("architectures", List.of(sigLip ? "DiffusionVLQwenForCausalLM" : "DiffusionVLQwenVLForCausalLM"));
    fields.put("model_type", sigLip ? "diffusionvl_qwen" : "diffusionvl_qwenvl");
    fields.put("torch_dtype", model.dtype() == DType.BF16 ? "bfloat16" : "float32");
    fields.put("mask_token_id", config.maskTokenId());
    fields.put("enable_bd3lm", true);
    fields.put("bd3lm_block_size", config.blockSize());
    fields.put("bd3lm_block_aligned_eos", true);
    fields.put("bd3lm_antithetic_sampling", true);
    fields.put("bd3lm_sampling_eps_min", BlockDiffusionObjective.LOWEST);
    fields.put("bd3lm_sampling_eps_max", 1.0);
    fields.put("mm_patch_merge_type", sigLip ? "spatial_unpad" : "flat");
    fields.put("mm_projector_type", sigLip ? "mlp2x_gelu" : "qwen_merger");
    fields.put("mm_use_im_patch_token", false);
    fields.put("mm_use_im_start_end", false);
    fields.put("mm_vision_select_layer", -2);
    fields.put("mm_vision_select_feature", "patch");
    fields.put("mm_vision_tower", sigLip ? "siglip" : "qwen");
    fields.put("use_mm_proj", true);
    if (!sigLip) {
      fields.put("image_aspect_ratio", "pad");
    }
    fields.put("min_pixels", config.minPixels());
    fields.put("max_pixels", config.maxPixels());
    fields.put("tokenizer_model_max_length", config.tokenizerModelMaxLength());
    fields.put("tokenizer_padding_side", "right");
    return fields;
  }
}
