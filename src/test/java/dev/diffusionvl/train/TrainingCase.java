// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.train;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;

/** A recorded case of src/test/resources/golden-train. */
record TrainingCase(Path folder, JsonNode json) {
  static final List<String> NAMES = List.of("one", "turns", "two", "text", "batch");

  static TrainingCase read(String name) {
    Path folder = Path.of("src/test/resources/golden-train", name);
    try {
      return new TrainingCase(folder, new ObjectMapper().readTree(folder.resolve("case.json").toFile()));
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  int blockSize() {
    return json.get("block_size").asInt();
  }

  JsonNode step(int step) {
    return json.get("steps").get(step);
  }

  List<Example> examples() {
    List<Example> examples = new ArrayList<>();
    for (JsonNode sample : step(0).get("samples")) {
      examples.add(new Example(ints(sample.get("token_ids")), ints(sample.get("labels"))));
    }
    return examples;
  }

  List<Noise> noises(int step) {
    List<Noise> noises = new ArrayList<>();
    List<Example> examples = examples();
    for (int s = 0; s < examples.size(); s++) {
      JsonNode sample = step(step).get("samples").get(s);
      double[] level = new double[sample.get("t").size()];
      for (int i = 0; i < level.length; i++) {
        level[i] = sample.get("t").get(i).asDouble();
      }
      boolean[] masked = new boolean[examples.get(s).length()];
      for (int row : ints(sample.get("masked"))) {
        masked[row] = true;
      }
      noises.add(new Noise(level, masked));
    }
    return noises;
  }

  static int[] ints(JsonNode array) {
    int[] values = new int[array.size()];
    for (int i = 0; i < values.length; i++) {
      values[i] = array.get(i).asInt();
    }
    return values;
  }
}
