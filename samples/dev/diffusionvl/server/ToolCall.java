// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.server;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.util.UUID;

/**
 * A call of a function.
 *
 * @param arguments their JSON
 */
record ToolCall(String id, String name, String arguments) {
  private static final ObjectMapper MAPPER = new ObjectMapper();

  /** The call that a finished answer is; null if it is a text. */
  static ToolCall of(String answer) {
    if (!answer.startsWith("{")) {
      return null;
    }
    try {
      JsonNode call = MAPPER.readTree(answer);
      return new ToolCall("call_" + UUID.randomUUID().toString().replace("-", ""), call.path("name").asText(),
          call.path("arguments").toString());
    } catch (JsonProcessingException e) {
      throw new IllegalStateException("an answer under a constraint that is no JSON", e);
    }
  }

  /** Adds it to {@code tool_calls}. @param indexed as chunks of a stream have it */
  void addTo(ArrayNode calls, boolean indexed) {
    ObjectNode call = calls.addObject();
    if (indexed) {
      call.put("index", 0);
    }
    call.put("id", id).put("type", "function").putObject("function").put("name", name).put("arguments", arguments);
  }
}
