// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.eval;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.core.StreamReadFeature;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.json.JsonMapper;
import dev.diffusionvl.loader.BadInputException;

/** A line of a file of JSON objects. */
final class JsonLine {
  private static final ObjectMapper JSON = JsonMapper.builder().enable(StreamReadFeature.STRICT_DUPLICATE_DETECTION).build();

  private JsonLine() {}

  /** @param where how messages call the line @throws BadInputException if it is no object, or has a name twice */
  static JsonNode object(String line, String where) {
    JsonNode node;
    try {
      node = JSON.readTree(line);
    } catch (JsonProcessingException e) {
      throw new BadInputException(where + ": not valid JSON: " + e.getOriginalMessage(), e);
    }
    if (!node.isObject()) {
      throw new BadInputException(where + ": expected a JSON object");
    }
    return node;
  }
}
