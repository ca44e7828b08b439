// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.loader;

import dev.diffusionvl.loader.AnyresConfig.Resolution;
import java.util.ArrayList;
import java.util.List;

/** Reads what config.json says about the SigLIP tower and its tiles. */
final class SigLipConfigReader {
  private static final int MAX_WIDTH = 1 << 20;
  private static final int MAX_LAYERS = 1024;
  private static final int MAX_IMAGE = 4096;
  private static final int MAX_RESOLUTIONS = 1024;
  private static final int MAX_TILES_ALONG = 64;
  private static final String ACTIVATION = "gelu_pytorch_tanh";

  private SigLipConfigReader() {}

  /**
   * @param config config.json
   * @param visionOrNull its {@code vision_config}; released checkpoints have none
   */
  static SigLipConfig read(JsonObject config, JsonObject visionOrNull) {
    String projector = config.string("mm_projector_type", "mlp2x_gelu");
    if (!projector.equals("mlp2x_gelu")) {
      throw config.error("mm_projector_type", "'" + projector + "' is not supported, only mlp2x_gelu is");
    }
    SigLipConfig sizes = visionOrNull == null ? SigLipConfig.SO400M : sizes(visionOrNull);
    String aspect = config.string("image_aspect_ratio", "pad");
    return switch (aspect) {
      case "pad" -> sizes;
      case "square" -> sizes.withStretchedImages();
      default -> sizes.withAnyres(anyres(config, aspect, sizes.imageSize()));
    };
  }

  /** Field names of the SigLIP library class; its last layer is never used. */
  private static SigLipConfig sizes(JsonObject v) {
    String type = v.string("model_type", "siglip_vision_model");
    if (!type.startsWith("siglip")) {
      throw v.error("model_type", "'" + type + "' is not a SigLIP tower, which model_type diffusionvl_qwen calls for");
    }
    int hidden = (int) v.integer("hidden_size", 1, MAX_WIDTH);
    int heads = (int) v.integer("num_attention_heads", 1, hidden);
    if (hidden % heads != 0) {
      throw v.error("num_attention_heads", heads + " does not divide hidden_size " + hidden);
    }
    if (hidden / heads % 2 != 0) {
      throw v.error("num_attention_heads", hidden + " / " + heads + " is an odd head size");
    }
    int patch = (int) v.integer("patch_size", 1, 1024);
    String activation = v.string("hidden_act", ACTIVATION);
    if (!activation.equals(ACTIVATION)) {
      throw v.error("hidden_act", "'" + activation + "' is not supported, only " + ACTIVATION + " is");
    }
    double eps = v.has("layer_norm_eps") ? v.number("layer_norm_eps", 0, 1) : SigLipConfig.SO400M.layerNormEps();
    return new SigLipConfig(hidden, (int) v.integer("num_hidden_layers", 2, MAX_LAYERS) - 1, heads,
        (int) v.integer("intermediate_size", 1, MAX_WIDTH), patch, (int) v.integer("image_size", patch, MAX_IMAGE), eps,
        null, false);
  }

  private static AnyresConfig anyres(JsonObject config, String mode, int tile) {
    double maxTiles = AnyresConfig.maxTiles(mode).orElseThrow(() -> config.error("image_aspect_ratio",
        "'" + mode + "' is not supported; pad, square, anyres and anyres_max_N are"));
    String merge = config.string("mm_patch_merge_type", "spatial_unpad");
    if (!merge.equals("spatial_unpad")) {
      throw config.error("mm_patch_merge_type", "'" + merge + "' is not supported, only spatial_unpad is");
    }
    List<?> pairs = config.list("image_grid_pinpoints");
    return new AnyresConfig(pairs == null ? AnyresConfig.upToSixBySix(tile) : resolutions(config, pairs, tile), maxTiles);
  }

  private static List<Resolution> resolutions(JsonObject config, List<?> pairs, int tile) {
    String name = "image_grid_pinpoints";
    if (pairs.isEmpty() || pairs.size() > MAX_RESOLUTIONS) {
      throw config.error(name, "has " + pairs.size() + " entries, 1 to " + MAX_RESOLUTIONS + " are read");
    }
    List<Resolution> resolutions = new ArrayList<>();
    for (Object pair : pairs) {
      if (!(pair instanceof List<?> sides) || sides.size() != 2) {
        throw config.error(name, "expected pairs of width and height, found " + pair);
      }
      resolutions.add(new Resolution(side(config, name, sides.get(0), tile), side(config, name, sides.get(1), tile)));
    }
    return resolutions;
  }

  private static int side(JsonObject config, String name, Object value, int tile) {
    int side = (int) config.integer(name, value, tile, (long) MAX_TILES_ALONG * tile);
    if (side % tile != 0) {
      throw config.error(name, side + " is no multiple of the tower's image size " + tile);
    }
    return side;
  }
}
