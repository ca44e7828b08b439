// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.loader;

import java.util.LinkedHashMap;
import java.util.Map;

/**
 * The exact tensors, by canonical name, that a checkpoint of a given configuration holds (docs/model.md, "Tensors"). Canonical names
 * carry no prefix for the language model ({@code embed_tokens.weight}, {@code layers.0.…}, {@code norm.weight},
 * {@code lm_head.weight}), and {@code vision.}, {@code merger.} for the Qwen tower, {@code siglip.},
 * {@code projector.}, {@code image_newline} for the other family.
 */
public final class ModelShapes {
  /** Canonical name of the output matrix; not expected when tied. */
  public static final String LM_HEAD = "lm_head.weight";
  /** The layer that {@link #LM_HEAD} belongs to. */
  public static final String LM_HEAD_LAYER = "lm_head";
  /** Canonical name of the embedding matrix, which is the output matrix too when tied. */
  public static final String EMBEDDING = "embed_tokens.weight";

  private final Map<String, long[]> shapes = new LinkedHashMap<>();

  private ModelShapes() {}

  /** Canonical name to shape, in the order of the network. */
  public static Map<String, long[]> of(ModelConfig config) {
    ModelShapes shapes = new ModelShapes();
    shapes.text(config.text());
    if (config.vision() != null) {
      shapes.vision(config.vision());
      shapes.merger(config.vision());
    }
    if (config.sigLip() != null) {
      shapes.sigLip(config.sigLip());
      shapes.projector(config.sigLip(), config.text().hiddenSize());
    }
    return shapes.shapes;
  }

  private void weight(String name, long... shape) {
    shapes.put(name + ".weight", shape);
  }

  /** A weight [out, in] and its bias [out]. */
  private void linear(String name, long out, long in) {
    weight(name, out, in);
    shapes.put(name + ".bias", new long[] {out});
  }

  private void text(TextConfig c) {
    long h = c.hiddenSize();
    long q = (long) c.heads() * c.headDim();
    long kv = (long) c.kvHeads() * c.headDim();
    weight("embed_tokens", c.vocabSize(), h);
    for (int i = 0; i < c.layers(); i++) {
      String p = "layers." + i + ".";
      weight(p + "input_layernorm", h);
      linear(p + "self_attn.q_proj", q, h);
      linear(p + "self_attn.k_proj", kv, h);
      linear(p + "self_attn.v_proj", kv, h);
      weight(p + "self_attn.o_proj", h, q);
      weight(p + "post_attention_layernorm", h);
      weight(p + "mlp.gate_proj", c.intermediateSize(), h);
      weight(p + "mlp.up_proj", c.intermediateSize(), h);
      weight(p + "mlp.down_proj", h, c.intermediateSize());
    }
    weight("norm", h);
    if (!c.tieWordEmbeddings()) {
      shapes.put(LM_HEAD, new long[] {c.vocabSize(), h});
    }
  }

  private void vision(VisionConfig c) {
    long d = c.hiddenSize();
    long f = c.intermediateSize();
    weight("vision.patch_embed.proj", d, c.inChannels(), c.temporalPatchSize(), c.patchSize(), c.patchSize());
    for (int i = 0; i < c.depth(); i++) {
      String p = "vision.blocks." + i + ".";
      weight(p + "norm1", d);
      linear(p + "attn.qkv", 3 * d, d);
      linear(p + "attn.proj", d, d);
      weight(p + "norm2", d);
      linear(p + "mlp.gate_proj", f, d);
      linear(p + "mlp.up_proj", f, d);
      linear(p + "mlp.down_proj", d, f);
    }
  }

  private void merger(VisionConfig c) {
    long merged = (long) c.hiddenSize() * c.spatialMergeSize() * c.spatialMergeSize();
    weight("merger.ln_q", c.hiddenSize());
    linear("merger.mlp.0", merged, merged);
    linear("merger.mlp.2", c.outHiddenSize(), merged);
  }

  private void sigLip(SigLipConfig c) {
    long d = c.hiddenSize();
    String e = "siglip.embeddings.";
    weight(e + "patch_embedding", d, 3, c.patchSize(), c.patchSize());
    shapes.put(e + "patch_embedding.bias", new long[] {d});
    weight(e + "position_embedding", c.positions(), d);
    for (int i = 0; i < c.layers(); i++) {
      String p = "siglip.encoder.layers." + i + ".";
      norm(p + "layer_norm1", d);
      for (String projection : new String[] {"k_proj", "v_proj", "q_proj", "out_proj"}) {
        linear(p + "self_attn." + projection, d, d);
      }
      norm(p + "layer_norm2", d);
      linear(p + "mlp.fc1", c.intermediateSize(), d);
      linear(p + "mlp.fc2", d, c.intermediateSize());
    }
    // stored in every trained checkpoint, used by none
    norm("siglip.post_layernorm", d);
  }

  /** LayerNorm: weight and bias of one width. */
  private void norm(String name, long width) {
    weight(name, width);
    shapes.put(name + ".bias", new long[] {width});
  }

  private void projector(SigLipConfig c, long hidden) {
    linear("projector.0", hidden, c.hiddenSize());
    linear("projector.2", hidden, hidden);
    shapes.put("image_newline", new long[] {hidden});
  }
}
