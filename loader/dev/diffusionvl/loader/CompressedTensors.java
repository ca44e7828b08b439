// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.loader;

import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/** The {@code quantization_config} of checkpoints that are written here: those of compressed-tensors, weights alone. */
public final class CompressedTensors {
  private CompressedTensors() {}

  /**
   * Of {@link EncodedMatrix#fp8} matrices.
   *
   * @param ignored linear layers that are stored as they are, named as in the files
   */
  public static Map<String, Object> fp8(List<String> ignored) {
    return config("float-quantized", weights(8, "float", "channel", null), ignored);
  }

  /** Of {@link EncodedMatrix#int4} matrices, likewise. */
  public static Map<String, Object> int4(int group, List<String> ignored) {
    return config("pack-quantized", weights(4, "int", "group", group), ignored);
  }

  private static Map<String, Object> weights(int bits, String type, String strategy, Integer group) {
    Map<String, Object> weights = new LinkedHashMap<>();
    weights.put("num_bits", bits);
    weights.put("type", type);
    weights.put("symmetric", true);
    weights.put("strategy", strategy);
    weights.put("group_size", group);
    weights.put("block_structure", null);
    weights.put("dynamic", false);
    weights.put("actorder", null);
    weights.put("observer", "minmax");
    return weights;
  }

  private static Map<String, Object> config(String format, Map<String, Object> weights, List<String> ignored) {
    Map<String, Object> group = new LinkedHashMap<>();
    group.put("targets", List.of("Linear"));
    group.put("weights", weights);
    group.put("input_activations", null);
    group.put("output_activations", null);
    Map<String, Object> config = new LinkedHashMap<>();
    config.put("quant_method", "compressed-tensors");
    config.put("format", format);
    config.put("quantization_status", "compressed");
    config.put("config_groups", Map.of("group_0", group));
    config.put("ignore", ignored);
    config.put("kv_cache_scheme", null);
    return config;
  }
}
