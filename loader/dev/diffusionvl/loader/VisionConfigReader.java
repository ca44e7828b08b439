// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.loader;

import java.util.List;
import java.util.Set;
import java.util.TreeSet;

/** Reads what config.json says about the Qwen vision tower. */
final class VisionConfigReader {
  private static final int MAX_WIDTH = 1 << 20;
  private static final int MAX_LAYERS = 1024;

  private VisionConfigReader() {}

  /**
   * @param v {@code vision_config}
   * @param text whose width the tower's results must have
   */
  static VisionConfig read(JsonObject v, TextConfig text) {
    v.requireComputed("hidden_act", "silu", "swish");
    int depth = (int) v.integer("depth", 1, MAX_LAYERS);
    int hidden = (int) v.integer("hidden_size", 1, MAX_WIDTH);
    int heads = (int) v.integer("num_heads", 1, hidden);
    if (hidden % heads != 0 || hidden / heads % 4 != 0) {
      throw v.error("num_heads", hidden + " / " + heads + " is no head size that 2-D rotary embedding can use");
    }
    int patch = (int) v.integer("patch_size", 1, 1024);
    int merge = (int) v.integer("spatial_merge_size", 1, 16);
    int window = (int) v.integer("window_size", patch * merge, MAX_WIDTH);
    if (window % (patch * merge) != 0) {
      throw v.error("window_size", window + " is no multiple of patch_size * spatial_merge_size = " + patch * merge);
    }
    // original files say in_chans, re-saved ones in_channels, some both
    String channelField = v.has("in_channels") ? "in_channels" : "in_chans";
    int channels = v.has(channelField) ? (int) v.integer(channelField, 3, 3) : 3;
    int out = (int) v.integer("out_hidden_size", 1, MAX_WIDTH);
    if (out != text.hiddenSize()) {
      throw v.error("out_hidden_size", out + " differs from the language model's hidden_size " + text.hiddenSize());
    }
    List<?> full = v.list("fullatt_block_indexes");
    if (full == null) {
      throw v.error("fullatt_block_indexes", "missing");
    }
    Set<Integer> fullBlocks = new TreeSet<>();
    for (Object index : full) {
      fullBlocks.add((int) v.integer("fullatt_block_indexes", index, 0, depth - 1));
    }
    return new VisionConfig(depth, hidden, heads, (int) v.integer("intermediate_size", 1, MAX_WIDTH), patch,
        (int) v.integer("temporal_patch_size", 1, 16), merge, window, channels, out, Set.copyOf(fullBlocks));
  }
}
