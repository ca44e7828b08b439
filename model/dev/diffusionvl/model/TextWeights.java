// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.model;

import dev.diffusionvl.loader.ModelShapes;
import dev.diffusionvl.loader.TextConfig;
import dev.diffusionvl.runtime.DeviceBuffer;
import java.util.ArrayList;
import java.util.List;
import java.util.stream.Stream;

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

  /** All linear layers, the head last. */
  Stream<Linear> linears() {
    return Stream.concat(layers.stream().flatMap(l -> Stream.of(l.qkv(), l.output(), l.gateUp(), l.down())), Stream.of(head));
  }

  static TextWeights load(WeightUploader uploader, TextConfig config) {
    List<Layer> layers = new ArrayList<>();
    for (int i = 0; i < config.layers(); i++) {
      String p = "layers." + i + ".";
      layers.add(new Layer(
          uploader.tensor(p + "input_layernorm.weight"),
          uploader.packable(true, false, p + "self_attn.q_proj", p + "self_attn.k_proj", p + "self_attn.v_proj"),
          uploader.packable(false, false, p + "self_attn.o_proj"),
          uploader.tensor(p + "post_attention_layernorm.weight"),
          uploader.packable(false, true, p + "mlp.gate_proj", p + "mlp.up_proj"),
          uploader.packable(false, false, p + "mlp.down_proj")));
    }
    DeviceBuffer embedding = uploader.tensor(ModelShapes.EMBEDDING);
    Linear head = uploader.tiedHead() ? new Linear.Dense(embedding, null) : uploader.packable(false, false, ModelShapes.LM_HEAD_LAYER);
    return new TextWeights(embedding, uploader.tensor("norm.weight"), head, layers);
  }
}
