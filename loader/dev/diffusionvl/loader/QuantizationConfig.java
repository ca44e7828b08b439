// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.loader;

import dev.diffusionvl.loader.WeightFormat.GroupedInt4;
import dev.diffusionvl.loader.WeightFormat.Packing;
import dev.diffusionvl.loader.WeightFormat.ScaledFp8;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;

/**
 * What the {@code quantization_config} of a checkpoint says about its linear layers (docs/model.md, "Weight formats"). Only weights are
 * stored in fewer bits here: activations keep their type, so scales that a file holds for them are refused.
 */
public final class QuantizationConfig {
  private static final String ALL_LINEAR = "Linear";

  /** Layers and how their matrices are stored. */
  private record Group(LayerNames targets, WeightFormat format) {}

  private final List<Group> groups = new ArrayList<>();
  private final LayerNames ignored;
  private final List<String> remarks = new ArrayList<>();

  private QuantizationConfig(JsonObject json) {
    String method = json.string("quant_method", "");
    switch (method) {
      case "awq", "gptq", "fp8" -> {
        ignored = LayerNames.partsOf(json, "modules_to_not_convert");
        groups.add(new Group(null, method.equals("awq") ? awq(json) : method.equals("gptq") ? gptq(json) : fp8(json)));
      }
      case "compressed-tensors" -> {
        ignored = LayerNames.of(json, "ignore");
        readGroups(json);
      }
      default -> throw json.error("quant_method", "'" + method + "' is not supported; awq, gptq, fp8 and compressed-tensors are");
    }
  }

  /**
   * Reads a file that holds the {@code quantization_config} object.
   *
   * @throws BadInputException naming the field that is unusable or asks for what is not supported
   */
  public static QuantizationConfig read(Path file) {
    return new QuantizationConfig(Json.readObject(file, ConfigReader.MAX_FILE_BYTES));
  }

  /** The {@code quantization_config} of a config.json, or null if it has none. */
  public static QuantizationConfig ofModel(Path configJson) {
    return of(Json.readObject(configJson, ConfigReader.MAX_FILE_BYTES));
  }

  /** Likewise, of what was read from it. */
  static QuantizationConfig of(JsonObject config) {
    JsonObject quantization = config.object("quantization_config");
    quantization = quantization != null ? quantization : config.object("compression_config"); // an older name of the same
    return quantization == null ? null : new QuantizationConfig(quantization);
  }

  private static WeightFormat awq(JsonObject json) {
    require(json, "bits", 4);
    if (!json.string("version", "gemm").equalsIgnoreCase("gemm")) {
      throw json.error("version", "'" + json.string("version", "") + "' is not supported; gemm is");
    }
    if (!json.bool("zero_point", true)) {
      throw json.error("zero_point", "false is not supported: AWQ's layout stores zero points");
    }
    return new GroupedInt4(Packing.AWQ, groupSize(json), false);
  }

  private static WeightFormat gptq(JsonObject json) {
    require(json, "bits", 4);
    String stored = json.string("checkpoint_format", "gptq");
    if (!stored.equals("gptq")) {
      throw json.error("checkpoint_format", "'" + stored + "' is not supported; gptq is");
    }
    return new GroupedInt4(Packing.GPTQ, groupSize(json), false);
  }

  private static WeightFormat fp8(JsonObject json) {
    String numbers = json.string("fmt", "e4m3");
    if (!numbers.equals("e4m3")) {
      throw json.error("fmt", "'" + numbers + "' is not supported; e4m3 is");
    }
    if (!json.string("activation_scheme", "dynamic").equals("dynamic")) {
      throw json.error("activation_scheme", "'" + json.string("activation_scheme", "")
          + "' is not supported: activations are not quantised");
    }
    int[] block = pair(json, "weight_block_size");
    return new ScaledFp8("weight_scale_inv", block[0], block[1]);
  }

  private void readGroups(JsonObject json) {
    for (String field : new String[] {"kv_cache_scheme", "sparsity_config", "transform_config"}) {
      if (json.has(field) && !(json.fields().get(field) instanceof Map<?, ?> map && map.isEmpty())) {
        throw json.error(field, "is not supported");
      }
    }
    JsonObject all = json.object("config_groups");
    if (all == null || all.fields().isEmpty()) {
      throw json.error("config_groups", "missing or empty");
    }
    for (String name : all.fields().keySet()) {
      JsonObject group = all.object(name);
      String format = group.string("format", json.string("format", ""));
      groups.add(new Group(LayerNames.of(group, "targets"), compressed(json, format, group)));
    }
  }

  private WeightFormat compressed(JsonObject json, String format, JsonObject group) {
    if (group.has("output_activations")) {
      throw group.error("output_activations", "is not supported: activations are not quantised");
    }
    JsonObject weights = group.object("weights");
    if (weights == null) {
      throw group.error("weights", "missing");
    }
    WeightFormat read = switch (format) {
      case "pack-quantized" -> packed(weights);
      case "float-quantized", "naive-quantized" -> floats(weights);
      default -> throw json.error("format", "'" + format + "' is not supported; pack-quantized and float-quantized are");
    };
    activations(group, read);
    return read;
  }

  private static WeightFormat packed(JsonObject weights) {
    require(weights, "num_bits", 4);
    requireType(weights, "int");
    boolean symmetric = weights.bool("symmetric", true);
    return switch (weights.string("strategy", weights.has("group_size") ? "group" : "channel")) {
      case "group" -> new GroupedInt4(Packing.COMPRESSED_TENSORS, groupSize(weights), symmetric);
      case "channel" -> new GroupedInt4(Packing.COMPRESSED_TENSORS, 0, symmetric);
      case String other -> throw weights.error("strategy", "'" + other + "' is not supported; group and channel are");
    };
  }

  private static WeightFormat floats(JsonObject weights) {
    require(weights, "num_bits", 8);
    requireType(weights, "float");
    if (!weights.bool("symmetric", true)) {
      throw weights.error("symmetric", "false is not supported for floating-point weights");
    }
    return switch (weights.string("strategy", "tensor")) {
      case "channel" -> new ScaledFp8("weight_scale", 1, Integer.MAX_VALUE);
      case "tensor" -> new ScaledFp8("weight_scale", Integer.MAX_VALUE, Integer.MAX_VALUE);
      case "block" -> {
        int[] block = pair(weights, "block_structure");
        yield new ScaledFp8("weight_scale", block[0], block[1]);
      }
      case String other -> throw weights.error("strategy", "'" + other + "' is not supported; channel, tensor and block are");
    };
  }

  /**
   * Activations may be meant to be rounded as they come (dynamic), which costs accuracy and is left out. Stored scales for them may not.
   */
  private void activations(JsonObject group, WeightFormat format) {
    JsonObject activations = group.object("input_activations");
    if (activations == null) {
      return;
    }
    boolean dynamic = activations.fields().get("dynamic") instanceof Boolean b ? b : activations.has("dynamic"); // "local" is dynamic too
    if (!dynamic || !(format instanceof ScaledFp8)) {
      throw activations.error(dynamic ? "type" : "dynamic", "quantised activations are not supported");
    }
    String remark = "activations are not quantised, though the checkpoint's configuration allows it: weights alone are";
    if (!remarks.contains(remark)) {
      remarks.add(remark);
    }
  }

  private static void require(JsonObject json, String field, int only) {
    long bits = json.integer(field, 1, 64);
    if (bits != only) {
      throw json.error(field, bits + " is not supported here; " + only + " is");
    }
  }

  private static void requireType(JsonObject weights, String only) {
    if (!weights.string("type", only).equals(only)) {
      throw weights.error("type", "'" + weights.string("type", "") + "' is not supported here; " + only + " is");
    }
  }

  /** Inputs of a group; 0: all of them, which files write as −1. */
  private static int groupSize(JsonObject json) {
    long size = json.integer("group_size", -1, 1 << 20);
    if (size == 0) {
      throw json.error("group_size", "is 0");
    }
    return size == -1 ? 0 : (int) size;
  }

  private static int[] pair(JsonObject json, String field) {
    List<?> list = json.list(field);
    if (list == null || list.size() != 2) {
      throw json.error(field, list == null ? "missing" : "two numbers are needed");
    }
    return new int[] {(int) json.integer(field, list.get(0), 1, 1 << 20), (int) json.integer(field, list.get(1), 1, 1 << 20)};
  }

  /**
   * How the matrix of a layer is stored.
   *
   * @param layer name of the layer in the files, without {@code .weight}
   * @return null if it is stored as it is
   */
  public WeightFormat formatOf(String layer) {
    if (ignored.contains(layer)) {
      return null;
    }
    for (Group group : groups) {
      if (group.targets() == null || group.targets().lists(ALL_LINEAR) || group.targets().contains(layer)) {
        return group.format();
      }
    }
    return null;
  }

  /** What of the configuration is not followed, though answers do not need it; a line each. */
  public List<String> remarks() {
    return List.copyOf(remarks);
  }
}
