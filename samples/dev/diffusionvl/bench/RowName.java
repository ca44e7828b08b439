// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.bench;

import com.fasterxml.jackson.databind.JsonNode;
import java.util.List;
import java.util.Set;

/**
 * What a row is called, by all that says what was measured, and the time that it measured: rows of two runs with one name belong together.
 *
 * @param label short, for a picture
 */
record RowName(String name, String label) {
  private static final List<String> LABEL = List.of("op", "kernel", "mode", "model", "shape", "context", "rows", "weights", "gemm",
      "speculate", "users");
  private static final List<String> REST = List.of("bench", "layers", "dtype", "stored", "schedule", "steps", "gen_length", "fused_store",
      "graphs", "recompute", "pass_rows", "overlap", "ring", "predicted_for", "gpu");
  private static final Set<String> PLAIN = Set.of("op", "kernel", "mode", "shape", "model");
  private static final List<String> TIMES = List.of("us", "ms", "decode_ms", "block_ms_p50");

  static RowName of(JsonNode row) {
    String label = joined(row, LABEL);
    return new RowName(label + " | " + joined(row, REST), label);
  }

  private static String joined(JsonNode row, List<String> fields) {
    StringBuilder text = new StringBuilder();
    for (String field : fields) {
      if (row.has(field)) {
        text.append(text.isEmpty() ? "" : " ").append(PLAIN.contains(field) ? "" : field + " ").append(row.get(field).asText());
      }
    }
    return text.toString();
  }

  /** Microseconds; NaN for a row that measured no time. */
  static double micros(JsonNode row) {
    for (String field : TIMES) {
      if (row.path(field).isNumber()) {
        return row.get(field).asDouble() * (field.equals("us") ? 1 : 1000);
      }
    }
    return Double.NaN;
  }

  /** How uncertain the time is, in per cent: what the row says of it, else the span from its 10th to its 90th percentile. */
  static double noise(JsonNode row) {
    if (row.path("noise_pct").isNumber()) {
      return row.get("noise_pct").asDouble();
    }
    for (String field : TIMES) {
      if (row.path(field).isNumber()) {
        double span = row.path(field + "_p90").asDouble(Double.NaN) - row.path(field + "_p10").asDouble(Double.NaN);
        return 100 * span / row.get(field).asDouble();
      }
    }
    return Double.NaN;
  }
}
