// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.model;

import dev.diffusionvl.loader.ModelShapes;
import dev.diffusionvl.loader.TextConfig;
import dev.diffusionvl.runtime.DeviceBuffer;
import java.util.ArrayList;
import java.util.List;

/**
 * Weights of the language model on the device (docs/model.md, "Tensors"), with the projections that share an input stacked into one matrix.
 */
public record TextWeights(DeviceBuffer embedding, DeviceBuffer finalNorm, Linear head, List<Layer> layers) {

  /**
   * One decoder layer.
   *
   * @param qkv [q + 2 kv, H] with bias
   * @param gateUp [2 I, H]
   */
  public record Layer(DeviceBuffer inputNorm, Linear qkv, Linear output, DeviceBuffer postNorm, Linear gateUp,
      Linear down) {}

  static TextWeights load(WeightUploader uploader, TextConfig config) {
    List<Layer> layers = new ArrayList<>();
    for (int i = 0; i < config.layers(); i++) {
      String p = "layers." + i + ".";
      layers.add(new Layer(
          uploader.tensor(p + "input_layernorm.weight"),
          uploader.linear(true, p + "self_attn.q_proj", p + "self_attn.k_proj", p + "self_attn.v_proj"),
          uploader.linear(false, p + "self_attn.o_proj"),
          uploader.tensor(p + "post_attention_layernorm.weight"),
          uploader.linear(false, p + "mlp.gate_proj", p + "mlp.up_proj"),
          uploader.linear(false, p + "mlp.down_proj")));
    }
    DeviceBuffer embedding = uploader.tensor(ModelShapes.EMBEDDING);
    DeviceBuffer head = uploader.tiedHead() ? embedding : uploader.tensor(ModelShapes.LM_HEAD);
    return new TextWeights(embedding, uploader.tensor("norm.weight"), new Linear.Dense(head, null), layers);
  }
}
