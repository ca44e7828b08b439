// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.model;

import dev.diffusionvl.loader.Checkpoint;
import dev.diffusionvl.loader.TestCheckpoints;
import dev.diffusionvl.loader.TestCheckpoints.Tensor;
import dev.diffusionvl.loader.ModelConfig;
import dev.diffusionvl.loader.ModelShapes;
import dev.diffusionvl.loader.NamingScheme;
import dev.diffusionvl.loader.TensorType;
import dev.diffusionvl.oracle.TensorMap;
import dev.diffusionvl.runtime.DType;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.SplittableRandom;

/**
 * Makes a tiny checkpoint of the SigLIP family: scheme E, seeded random weights, the demo model's tokenizer. Two layers of each tower,
 * heads of 72 and 128 as the real ones, tiles of 62 pixels of which 56 are read.
 */
public final class SigLipCheckpoint {
  /** Of its weights. */
  public static final long SEED = 20261124;

  /** Its config.json. */
  public static final String CONFIG = """
      {"architectures": ["DiffusionVLQwenForCausalLM"], "model_type": "diffusionvl_qwen",
      "hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2, "num_key_value_heads": 1, "head_dim": 128,
      "intermediate_size": 96, "vocab_size": 1024, "tie_word_embeddings": false, "max_position_embeddings": 1024,
      "rms_norm_eps": 1e-06, "rope_theta": 1000000.0, "rope_scaling": null, "use_sliding_window": false,
      "eos_token_id": 1018, "mask_token_id": 1023, "enable_bd3lm": true, "bd3lm_block_size": 8,
      "tokenizer_model_max_length": 1024, "image_aspect_ratio": "anyres_max_4", "mm_patch_merge_type": "spatial_unpad",
      "mm_projector_type": "mlp2x_gelu", "mm_vision_tower": "tiny-siglip", "mm_vision_select_layer": -2,
      "vision_config": {"model_type": "siglip_vision_model", "hidden_size": 144, "num_hidden_layers": 3,
      "num_attention_heads": 2, "intermediate_size": 200, "patch_size": 14, "image_size": 62, "layer_norm_eps": 1e-06}}
      """;

  private SigLipCheckpoint() {}

  /** Writes the checkpoint into a new folder, its weights in two shards. */
  public static void write(Path folder) {
    Path files = files(folder.resolveSibling(folder.getFileName() + "-files"), CONFIG);
    TestCheckpoints.writeModel(folder, files, tensors(ModelConfig.load(files)), NamingScheme.DIFFUSION_VL_SIGLIP, 2);
  }

  /** A folder with everything but weights. */
  public static Path files(Path folder, String config) {
    TestCheckpoints.copyFiles(GoldenCase.MODEL, folder);
    try {
      Files.delete(folder.resolve("preprocessor_config.json")); // it has the other family's means
      Files.writeString(folder.resolve("config.json"), config);
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
    return folder;
  }

  /** Bf16 weights by canonical name that keep activations near 1; a sharp head makes decisions clear. */
  public static Map<String, Tensor> tensors(ModelConfig config) {
    Map<String, Tensor> tensors = new LinkedHashMap<>();
    SplittableRandom random = new SplittableRandom(SEED);
    ModelShapes.of(config).forEach((name, shape) -> tensors.put(name, tensor(name, shape, random)));
    return tensors;
  }

  private static Tensor tensor(String name, long[] shape, SplittableRandom random) {
    long elements = 1;
    for (long d : shape) {
      elements *= d;
    }
    boolean norm = shape.length == 1 && name.endsWith(".weight");
    boolean vector = shape.length == 1;
    boolean table = name.contains("embed_tokens") || name.contains("position_embedding") || name.equals("image_newline");
    double scale = table ? 1 : vector ? 0.2 : Math.sqrt((double) shape[0] / elements) * (name.equals(ModelShapes.LM_HEAD) ? 4 : 1);
    ByteBuffer data = ByteBuffer.allocate(Math.toIntExact(2 * elements)).order(ByteOrder.LITTLE_ENDIAN);
    for (long i = 0; i < elements; i++) {
      data.putShort(DType.toBf16((float) ((norm ? 1 : 0) + scale * random.nextGaussian())));
    }
    return new Tensor(TensorType.BF16, shape, data.array());
  }

  /** What a checkpoint holds, for oracles. */
  public static TensorMap read(Path folder) {
    Map<String, double[]> tensors = new LinkedHashMap<>();
    try (Checkpoint checkpoint = Checkpoint.open(folder)) {
      for (String name : checkpoint.names()) {
        float[] values = TestCheckpoints.floats(checkpoint.tensor(name));
        double[] wide = new double[values.length];
        for (int i = 0; i < wide.length; i++) {
          wide[i] = values[i];
        }
        tensors.put(name, wide);
      }
    }
    return new TensorMap(tensors);
  }
}
