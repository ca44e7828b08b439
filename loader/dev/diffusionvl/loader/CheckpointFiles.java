// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.loader;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.TreeSet;
import java.util.stream.Stream;

/**
 * The weight files of a model directory: one file or the shards that an index lists, and the separate files of a
 * converted base.
 *
 * @param files in the order in which they are read, each with the part of the model it holds
 * @param absent shards that the index lists and the directory lacks
 * @param index tensor name to shard, as the index claims; empty without an index
 */
record CheckpointFiles(Map<Path, NamingScheme.Part> files, List<Path> absent, Map<String, String> index) {
  static final String SINGLE = "model.safetensors";
  static final String INDEX = "model.safetensors.index.json";
  static final String VISION = "vision_tower.safetensors";
  static final String PROJECTOR = "projector.safetensors";
  private static final int MAX_INDEX_BYTES = 16 << 20;

  /**
   * @throws BadInputException if there is no weights file, or the index is malformed or points outside the directory
   */
  static CheckpointFiles find(Path modelDir) {
    ConfigReader.requireDirectory(modelDir);
    Map<Path, NamingScheme.Part> files = new LinkedHashMap<>();
    List<Path> absent = new ArrayList<>();
    Map<String, String> index = Map.of();
    // the order in which the usual libraries look
    if (InputFiles.present(modelDir.resolve(SINGLE))) {
      files.put(modelDir.resolve(SINGLE), NamingScheme.Part.MAIN);
    } else if (InputFiles.present(modelDir.resolve(INDEX))) {
      index = readIndex(modelDir.resolve(INDEX));
      for (String name : new TreeSet<>(index.values())) {
        Path shard = modelDir.resolve(name);
        if (InputFiles.present(shard)) {
          files.put(shard, NamingScheme.Part.MAIN);
        } else {
          absent.add(shard);
        }
      }
    } else {
      throw BadInputException.of(modelDir, SINGLE, "no such file, nor " + INDEX + otherFormats(modelDir));
    }
    addIfPresent(files, modelDir.resolve(VISION), NamingScheme.Part.VISION);
    addIfPresent(files, modelDir.resolve(PROJECTOR), NamingScheme.Part.PROJECTOR);
    return new CheckpointFiles(files, absent, index);
  }

  private static void addIfPresent(Map<Path, NamingScheme.Part> files, Path file, NamingScheme.Part part) {
    if (InputFiles.present(file)) {
      files.put(file, part);
    }
  }

  private static Map<String, String> readIndex(Path file) {
    JsonObject weightMap = Json.readObject(file, MAX_INDEX_BYTES).object("weight_map");
    if (weightMap == null) {
      throw BadInputException.of(file, "weight_map", "missing");
    }
    Map<String, String> index = new LinkedHashMap<>();
    for (String tensor : weightMap.fields().keySet()) {
      String shard = weightMap.string(tensor, "");
      // a name with a separator could point anywhere on the disk
      if (!shard.matches("[A-Za-z0-9_][A-Za-z0-9._-]*\\.safetensors")) {
        throw weightMap.error(tensor, "'" + shard + "' is not the plain name of a .safetensors file");
      }
      index.put(tensor, shard);
    }
    if (index.isEmpty()) {
      throw BadInputException.of(file, "weight_map", "is empty");
    }
    return index;
  }

  private static String otherFormats(Path modelDir) {
    try (Stream<Path> list = Files.list(modelDir)) {
      return list.map(p -> p.getFileName().toString())
          .filter(n -> n.endsWith(".bin") || n.endsWith(".gguf") || n.endsWith(".pt") || n.endsWith(".onnx"))
          .findFirst().map(n -> "; " + n + " is in a format that is not supported").orElse("");
    } catch (IOException e) {
      throw InputFiles.failure(modelDir, e);
    }
  }

  /** Whether the tower or the projector has a file of its own. */
  boolean separate() {
    return files.values().stream().anyMatch(p -> p != NamingScheme.Part.MAIN);
  }
}
