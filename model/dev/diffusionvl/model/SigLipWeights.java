// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.model;

import dev.diffusionvl.loader.SigLipConfig;
import dev.diffusionvl.runtime.DeviceBuffer;
import java.util.ArrayList;
import java.util.List;

/**
 * Weights of the SigLIP tower and its projector on the device (docs/model.md, "Tensors").
 *
 * @param patchEmbedding [C, patch · patch · 3], channels last, with bias
 * @param positions [positions, C]
 * @param newline [H], the vector that ends a row of the mosaic
 */
public record SigLipWeights(Linear.Dense patchEmbedding, DeviceBuffer positions, List<Layer> layers, Linear.Dense projectorUp,
    Linear.Dense projectorDown, DeviceBuffer newline) {

  /** LayerNorm's scale and shift. */
  public record Norm(DeviceBuffer weight, DeviceBuffer bias) {}

  /** One encoder layer; qkv is [3 C, C] with bias. */
  public record Layer(Norm norm1, Linear.Dense qkv, Linear.Dense output, Norm norm2, Linear.Dense up, Linear.Dense down) {}

  static SigLipWeights load(WeightUploader uploader, SigLipConfig config) {
    List<Layer> layers = new ArrayList<>();
    for (int i = 0; i < config.layers(); i++) {
      String p = "siglip.encoder.layers." + i + ".";
      String attention = p + "self_attn.";
      layers.add(new Layer(
          norm(uploader, p + "layer_norm1"),
          uploader.linear(true, attention + "q_proj", attention + "k_proj", attention + "v_proj"),
          uploader.linear(true, attention + "out_proj"),
          norm(uploader, p + "layer_norm2"),
          uploader.linear(true, p + "mlp.fc1"),
          uploader.linear(true, p + "mlp.fc2")));
    }
    String embeddings = "siglip.embeddings.";
    return new SigLipWeights(
        new Linear.Dense(uploader.channelsLast(embeddings + "patch_embedding.weight"),
            uploader.tensor(embeddings + "patch_embedding.bias")),
        uploader.tensor(embeddings + "position_embedding.weight"),
        layers,
        uploader.linear(true, "projector.0"),
        uploader.linear(true, "projector.2"),
        uploader.tensor("image_newline"));
  }

  private static Norm norm(WeightUploader uploader, String name) {
    return new Norm(uploader.tensor(name + ".weight"), uploader.tensor(name + ".bias"));
  }
}
