// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.bench;

import dev.diffusionvl.loader.ModelConfig;
import dev.diffusionvl.loader.TextConfig;
import dev.diffusionvl.loader.VisionConfig;
import java.util.List;
import java.util.Set;
import java.util.stream.Collectors;

/** Sizes of the published models, and of the demo model, as configurations for random weights. */
enum ModelShape {
  TINY(text(256, 4, 2, 1, 768, 1024, true), vision(4, 160, 2, 432, 256, Set.of(1, 3)), 1023),
  QWEN_3B(text(2048, 36, 16, 2, 11008, 151936, true), vision(32, 1280, 16, 3420, 2048, Set.of(7, 15, 23, 31)), 151671),
  QWEN_7B(text(3584, 28, 28, 4, 18944, 152064, false), vision(32, 1280, 16, 3420, 3584, Set.of(7, 15, 23, 31)), 151671);

  /** An id that no token has: generations of a measurement run to their full length. */
  private static final int NO_EOS = -1;

  private static final float[] CLIP_MEAN = {0.48145466f, 0.4578275f, 0.40821073f};
  private static final float[] CLIP_STD = {0.26862954f, 0.26130258f, 0.27577711f};

  private final TextConfig text;
  private final VisionConfig vision;
  private final int maskTokenId;

  ModelShape(TextConfig text, VisionConfig vision, int maskTokenId) {
    this.text = text;
    this.vision = vision;
    this.maskTokenId = maskTokenId;
  }

  private static TextConfig text(int hidden, int layers, int heads, int kvHeads, int intermediate, int vocab, boolean tied) {
    return new TextConfig(hidden, layers, heads, kvHeads, 128, intermediate, vocab, 128000, 1e-6, 1e6, tied);
  }

  private static VisionConfig vision(int depth, int hidden, int heads, int intermediate, int out, Set<Integer> fullAttention) {
    return new VisionConfig(depth, hidden, heads, intermediate, 14, 2, 2, 112, 3, out, fullAttention);
  }

  /** By the spelling of {@code --shape}: tiny, 3b or 7b. @throws IllegalArgumentException on any other text */
  static ModelShape parse(String name) {
    return switch (name) {
      case "tiny" -> TINY;
      case "3b" -> QWEN_3B;
      case "7b" -> QWEN_7B;
      default -> throw new IllegalArgumentException("shape '" + name + "' is none of tiny, 3b, 7b");
    };
  }

  /**
   * The configuration.
   *
   * @param layers decoder layers to keep, 0: all; the vision tower is cut to as many blocks
   */
  ModelConfig config(int layers) {
    TextConfig t = text;
    VisionConfig v = vision;
    if (layers > 0 && layers < t.layers()) {
      t = new TextConfig(t.hiddenSize(), layers, t.heads(), t.kvHeads(), t.headDim(), t.intermediateSize(), t.vocabSize(),
          t.maxPositionEmbeddings(), t.rmsNormEps(), t.ropeTheta(), t.tieWordEmbeddings());
      int depth = Math.min(layers, v.depth());
      v = new VisionConfig(depth, v.hiddenSize(), v.heads(), v.intermediateSize(), v.patchSize(),
          v.temporalPatchSize(), v.spatialMergeSize(), v.windowSize(), v.inChannels(), v.outHiddenSize(),
          v.fullAttentionBlocks().stream().filter(block -> block < depth).collect(Collectors.toSet()));
    }
    return new ModelConfig("diffusionvl_qwenvl", t, v, maskTokenId, List.of(NO_EOS), 8, 3136, 12845056, t.maxPositionEmbeddings(),
        CLIP_MEAN, CLIP_STD, null, List.of(), true);
  }
}
