// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.loader;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNull;

import dev.diffusionvl.loader.NamingScheme.Part;
import java.util.List;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/**
 * Names as the files have them, letter by letter (docs/model.md, "Naming schemes"): what writes checkpoints for the other tests asks the
 * scheme itself.
 */
class NamingSchemeTest {
  @ParameterizedTest
  @CsvSource({
    "A, MAIN, model.embed_tokens.weight, embed_tokens.weight",
    "A, MAIN, model.layers.11.self_attn.q_proj.bias, layers.11.self_attn.q_proj.bias",
    "A, MAIN, model.norm.weight, norm.weight",
    "A, MAIN, lm_head.weight, lm_head.weight",
    "A, MAIN, visual.patch_embed.proj.weight, vision.patch_embed.proj.weight",
    "A, MAIN, visual.blocks.31.attn.qkv.weight, vision.blocks.31.attn.qkv.weight",
    "A, MAIN, visual.merger.ln_q.weight, merger.ln_q.weight",
    "A, MAIN, visual.merger.mlp.2.bias, merger.mlp.2.bias",
    "B, MAIN, model.language_model.layers.0.mlp.up_proj.weight, layers.0.mlp.up_proj.weight",
    "B, MAIN, model.language_model.embed_tokens.weight, embed_tokens.weight",
    "B, MAIN, lm_head.weight, lm_head.weight",
    "B, MAIN, model.visual.blocks.0.norm1.weight, vision.blocks.0.norm1.weight",
    "B, MAIN, model.visual.merger.mlp.0.weight, merger.mlp.0.weight",
    "C, MAIN, model.layers.3.post_attention_layernorm.weight, layers.3.post_attention_layernorm.weight",
    "C, VISION, blocks.7.mlp.gate_proj.weight, vision.blocks.7.mlp.gate_proj.weight",
    "C, VISION, patch_embed.proj.weight, vision.patch_embed.proj.weight",
    "C, PROJECTOR, ln_q.weight, merger.ln_q.weight",
    "C, PROJECTOR, mlp.2.weight, merger.mlp.2.weight",
    "D, MAIN, model.layers.3.input_layernorm.weight, layers.3.input_layernorm.weight",
    "D, MAIN, model.vision_tower.vision_tower.blocks.5.attn.proj.bias, vision.blocks.5.attn.proj.bias",
    "D, MAIN, model.mm_projector.merger.ln_q.weight, merger.ln_q.weight",
    "D, MAIN, model.mm_projector.merger.mlp.0.bias, merger.mlp.0.bias",
    "E, MAIN, model.layers.27.mlp.down_proj.weight, layers.27.mlp.down_proj.weight",
    "E, MAIN, model.vision_tower.vision_tower.vision_model.embeddings.patch_embedding.bias, siglip.embeddings.patch_embedding.bias",
    "E, MAIN, model.vision_tower.vision_tower.vision_model.encoder.layers.25.self_attn.out_proj.weight, "
        + "siglip.encoder.layers.25.self_attn.out_proj.weight",
    "E, MAIN, model.mm_projector.0.weight, projector.0.weight",
    "E, MAIN, model.mm_projector.2.bias, projector.2.bias",
    "E, MAIN, model.image_newline, image_newline",
  })
  void namesOfFiles(NamingScheme scheme, Part part, String inFile, String canonical) {
    assertEquals(canonical, scheme.canonical(inFile, part));
    assertEquals(inFile, scheme.nameInFile(canonical));
  }

  @ParameterizedTest
  @CsvSource({
    "A, model.norm.weight;visual.blocks.0.norm1.weight, false",
    "B, model.language_model.norm.weight;model.visual.blocks.0.norm1.weight, false",
    "C, model.norm.weight;lm_head.weight, true",
    "D, model.norm.weight;model.vision_tower.vision_tower.blocks.0.norm1.weight, false",
    "E, model.norm.weight;model.vision_tower.vision_tower.vision_model.post_layernorm.bias, false",
  })
  void schemesAreToldByTheirNames(NamingScheme scheme, String names, boolean separateFiles) {
    assertEquals(scheme, NamingScheme.detect(List.of(names.split(";")), separateFiles, "diffusionvl_qwenvl"));
  }

  @ParameterizedTest
  @CsvSource({"A, model.rotary.inv_freq", "A, transformer.h.0.weight", "B, model.layers.0.mlp.up_proj.weight", "D, visual.blocks.0.norm1.weight"})
  void otherNamesAreUnknown(NamingScheme scheme, String name) {
    assertNull(scheme.canonical(name, Part.MAIN));
  }
}
