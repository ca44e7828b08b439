// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.cli;

import com.fasterxml.jackson.databind.JsonNode;
import dev.diffusionvl.loader.BadInputException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;

/** Reads {@code --uniforms}: a JSON array of rows, or an object with such an array as its {@code uniforms}. */
final class UniformsFile {
  private static final int MAX_BYTES = 256 << 20;

  private UniformsFile() {}

  static List<double[]> read(Path file) {
    JsonNode root = JsonFile.read(file, MAX_BYTES);
    JsonNode rows = root != null && root.isObject() ? root.get("uniforms") : root;
    if (rows == null || !rows.isArray()) {
      throw new BadInputException(file + ": uniforms: an array of rows is missing");
    }
    List<double[]> uniforms = new ArrayList<>();
    for (JsonNode row : rows) {
      if (!row.isArray()) {
        throw new BadInputException(file + ": uniforms[" + uniforms.size() + "]: not an array of numbers");
      }
      double[] values = new double[row.size()];
      for (int i = 0; i < values.length; i++) {
        JsonNode value = row.get(i);
        if (!value.isNumber() || !(value.doubleValue() >= 0 && value.doubleValue() < 1)) {
          throw new BadInputException(file + ": uniforms[" + uniforms.size() + "][" + i + "]: not a number in [0,1): " + value);
        }
        values[i] = value.doubleValue();
      }
      uniforms.add(values);
    }
    return uniforms;
  }
}
