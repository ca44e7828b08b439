// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.bench;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import dev.diffusionvl.bench.measure.Row;
import dev.diffusionvl.loader.BadInputException;
import dev.diffusionvl.loader.InputFiles;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;

/** The rows of an earlier run, by name: what a new one is compared with. Of several with one name the last counts. */
final class EarlierRows {
  private static final int MAX_BYTES = 256 << 20;

  private final Map<String, JsonNode> rows = new HashMap<>();

  /** @throws BadInputException if it is no file of JSON lines */
  static EarlierRows read(Path file) {
    EarlierRows earlier = new EarlierRows();
    lines(file).forEach(row -> earlier.rows.put(RowName.of(row).name(), row));
    return earlier;
  }

  /**
   * The rows of a results file, in order.
   *
   * @throws BadInputException if it is no file of JSON lines
   */
  static List<JsonNode> lines(Path file) {
    List<JsonNode> rows = new ArrayList<>();
    ObjectMapper mapper = new ObjectMapper();
    int number = 0;
    for (String line : new String(InputFiles.read(file, MAX_BYTES), StandardCharsets.UTF_8).split("\n")) {
      number++;
      if (!line.isBlank()) {
        try {
          rows.add(mapper.readTree(line));
        } catch (JsonProcessingException e) {
          throw BadInputException.of(file, "line " + number, "not JSON: " + e.getOriginalMessage());
        }
      }
    }
    return rows;
  }

  /** Adds how many times as long as before it took, and the noise of the two times together, where there was such a row. */
  void compare(Row row) {
    JsonNode before = rows.get(RowName.of(row.json()).name());
    if (before != null && RowName.micros(before) > 0) {
      row.put("earlier_ratio", RowName.micros(row.json()) / RowName.micros(before))
          .put("earlier_noise_pct", Math.hypot(RowName.noise(row.json()), RowName.noise(before)));
    }
  }
}
