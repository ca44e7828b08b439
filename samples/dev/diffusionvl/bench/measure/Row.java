// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.bench.measure;

import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import com.fasterxml.jackson.databind.node.ObjectNode;

/** One result: {@code bench} says of what kind, the other fields follow in the order in which they are put. */
public final class Row {
  private final ObjectNode json = JsonNodeFactory.instance.objectNode();

  public Row(String bench) {
    json.put("bench", bench);
  }

  public Row put(String name, String value) {
    json.put(name, value);
    return this;
  }

  public Row put(String name, long value) {
    json.put(name, value);
    return this;
  }

  public Row put(String name, boolean value) {
    json.put(name, value);
    return this;
  }

  /** Four significant digits; infinities and NaN become null. */
  public Row put(String name, double value) {
    if (Double.isFinite(value)) {
      json.put(name, Double.parseDouble("%.4g".formatted(value)));
    } else {
      json.putNull(name);
    }
    return this;
  }

  /** Microseconds: {@code prefix} before {@code us}, {@code us_p10} and {@code us_p90}. */
  public Row times(String prefix, Quantiles micros) {
    return put(prefix + "us", micros.median()).put(prefix + "us_p10", micros.p10()).put(prefix + "us_p90", micros.p90());
  }

  public ObjectNode json() {
    return json;
  }

  /** A field as a table shows it; empty when it is not there. */
  public String text(String name) {
    return json.path(name).asText("");
  }
}
