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
    "QWEN_VL, MAIN, model.embed_tokens.weight, embed_tokens.weight",
    "QWEN_VL, MAIN, model.layers.11.self_attn.q_proj.bias, layers.11.self_attn.q_proj.bias",
    "QWEN_VL, MAIN, model.norm.weight, norm.weight",
    "QWEN_VL, MAIN, lm_head.weight, lm_head.weight",
    "QWEN_VL, MAIN, visual.patch_embed.proj.weight, vision.patch_embed.proj.weight",
    "QWEN_VL, MAIN, visual.blocks.31.attn.qkv.weight, vision.blocks.31.attn.qkv.weight",
    "QWEN_VL, MAIN, visual.merger.ln_q.weight, merger.ln_q.weight",
    "QWEN_VL, MAIN, visual.merger.mlp.2.bias, merger.mlp.2.bias",
    "QWEN_VL_RESAVED, MAIN, model.language_model.layers.0.mlp.up_proj.weight, layers.0.mlp.up_proj.weight",
    "QWEN_VL_RESAVED, MAIN, model.language_model.embed_tokens.weight, embed_tokens.weight",
    "QWEN_VL_RESAVED, MAIN, lm_head.weight, lm_head.weight",
    "QWEN_VL_RESAVED, MAIN, model.visual.blocks.0.norm1.weight, vision.blocks.0.norm1.weight",
    "QWEN_VL_RESAVED, MAIN, model.visual.merger.mlp.0.weight, merger.mlp.0.weight",
    "SEPARATE_FILES, MAIN, model.layers.3.post_attention_layernorm.weight, layers.3.post_attention_layernorm.weight",
    "SEPARATE_FILES, VISION, blocks.7.mlp.gate_proj.weight, vision.blocks.7.mlp.gate_proj.weight",
    "SEPARATE_FILES, VISION, patch_embed.proj.weight, vision.patch_embed.proj.weight",
    "SEPARATE_FILES, PROJECTOR, ln_q.weight, merger.ln_q.weight",
    "SEPARATE_FILES, PROJECTOR, mlp.2.weight, merger.mlp.2.weight",
    "DIFFUSION_VL, MAIN, model.layers.3.input_layernorm.weight, layers.3.input_layernorm.weight",
    "DIFFUSION_VL, MAIN, model.vision_tower.vision_tower.blocks.5.attn.proj.bias, vision.blocks.5.attn.proj.bias",
    "DIFFUSION_VL, MAIN, model.mm_projector.merger.ln_q.weight, merger.ln_q.weight",
    "DIFFUSION_VL, MAIN, model.mm_projector.merger.mlp.0.bias, merger.mlp.0.bias",
    "DIFFUSION_VL_SIGLIP, MAIN, model.layers.27.mlp.down_proj.weight, layers.27.mlp.down_proj.weight",
    "DIFFUSION_VL_SIGLIP, MAIN, model.vision_tower.vision_tower.vision_model.embeddings.patch_embedding.bias, "
        + "siglip.embeddings.patch_embedding.bias",
    "DIFFUSION_VL_SIGLIP, MAIN, model.vision_tower.vision_tower.vision_model.encoder.layers.25.self_attn.out_proj.weight, "
        + "siglip.encoder.layers.25.self_attn.out_proj.weight",
    "DIFFUSION_VL_SIGLIP, MAIN, model.mm_projector.0.weight, projector.0.weight",
    "DIFFUSION_VL_SIGLIP, MAIN, model.mm_projector.2.bias, projector.2.bias",
    "DIFFUSION_VL_SIGLIP, MAIN, model.image_newline, image_newline",
  })
  void namesOfFiles(NamingScheme scheme, Part part, String inFile, String canonical) {
    assertEquals(canonical, scheme.canonical(inFile, part));
    assertEquals(inFile, scheme.nameInFile(canonical));
  }

  @ParameterizedTest
  @CsvSource({
    "QWEN_VL, model.norm.weight;visual.blocks.0.norm1.weight, false",
    "QWEN_VL_RESAVED, model.language_model.norm.weight;model.visual.blocks.0.norm1.weight, false",
    "SEPARATE_FILES, model.norm.weight;lm_head.weight, true",
    "DIFFUSION_VL, model.norm.weight;model.vision_tower.vision_tower.blocks.0.norm1.weight, false",
    "DIFFUSION_VL_SIGLIP, model.norm.weight;model.vision_tower.vision_tower.vision_model.post_layernorm.bias, false",
  })
  void schemesAreToldByTheirNames(NamingScheme scheme, String names, boolean separateFiles) {
    assertEquals(scheme, NamingScheme.detect(List.of(names.split(";")), separateFiles, "diffusionvl_qwenvl"));
  }

  @ParameterizedTest
  @CsvSource({"QWEN_VL, model.rotary.inv_freq", "QWEN_VL, transformer.h.0.weight", "QWEN_VL_RESAVED, model.layers.0.mlp.up_proj.weight",
      "DIFFUSION_VL, visual.blocks.0.norm1.weight"})
  void otherNamesAreUnknown(NamingScheme scheme, String name) {
    assertNull(scheme.canonical(name, Part.MAIN));
  }
}
