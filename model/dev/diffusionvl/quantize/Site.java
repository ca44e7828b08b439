// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.quantize;

import dev.diffusionvl.loader.ModelConfig;
import dev.diffusionvl.train.LayerInputs.Place;
import java.util.ArrayList;
import java.util.List;

/**
 * Linear layers that take the same rows, and where a factor of their inputs can be taken back without changing what the model computes: in
 * the norm before them, or in the outputs of the layer before them.
 *
 * @param layers canonical names
 * @param norm name of the norm's weights; null: there is none
 * @param before the layer whose outputs become these inputs one by one; null: there is none
 */
record Site(int layer, Place place, List<String> layers, String norm, String before) {
  /** All of a language model. @param head with the output matrix */
  static List<Site> of(ModelConfig config, boolean head) {
    List<Site> sites = new ArrayList<>();
    for (int i = 0; i < config.text().layers(); i++) {
      String p = "layers." + i + ".";
      String attention = p + "self_attn.";
      sites.add(new Site(i, Place.QKV, List.of(attention + "q_proj", attention + "k_proj", attention + "v_proj"),
          p + "input_layernorm.weight", null));
      sites.add(new Site(i, Place.OUTPUT, List.of(attention + "o_proj"), null, attention + "v_proj"));
      sites.add(new Site(i, Place.GATE_UP, List.of(p + "mlp.gate_proj", p + "mlp.up_proj"), p + "post_attention_layernorm.weight", null));
      sites.add(new Site(i, Place.DOWN, List.of(p + "mlp.down_proj"), null, p + "mlp.up_proj"));
    }
    if (head) {
      sites.add(new Site(config.text().layers(), Place.HEAD, List.of("lm_head"), "norm.weight", null));
    }
    return sites;
  }
}
