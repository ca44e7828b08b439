// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.server;

import static dev.diffusionvl.server.ServedModel.JSON;
import static dev.diffusionvl.server.ServedModel.ask;
import static dev.diffusionvl.server.ServedModel.text;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.net.http.HttpResponse;
import java.util.List;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** Answers in a given form, over HTTP. */
class StructuredApiTest {
  private static final String TOOLS = """
      [{"type":"function","function":{"name":"weather","description":"the weather of a place","parameters":{"type":"object",
        "$defs":{"place":{"type":"string","pattern":"^[A-Z][a-z]{2,5}$"}},
        "properties":{"place":{"$ref":"#/$defs/place"},"days":{"type":"integer","minimum":1,"maximum":7}},"required":["place"]}}},
       {"type":"function","function":{"name":"now"}}]""";

  private static ServedModel served;

  @BeforeAll
  static void serve() {
    served = new ServedModel();
  }

  @AfterAll
  static void stop() {
    served.close();
  }

  private static ObjectNode with(int length, String... fields) throws Exception {
    ObjectNode body = ask("What is it?", length);
    for (int i = 0; i < fields.length; i += 2) {
      body.set(fields[i], JSON.readTree(fields[i + 1]));
    }
    return body;
  }

  @Test
  void schemasAndObjects() throws Exception {
    JsonNode answer = served.answer(with(48, "response_format", """
        {"type":"json_schema","json_schema":{"name":"thing","strict":true,"schema":{"type":"object",
        "properties":{"kind":{"enum":["cat","dog"]},"count":{"type":"integer","minimum":0,"maximum":9}},"required":["kind","count"]}}}"""));
    JsonNode thing = JSON.readTree(text(answer));
    assertTrue(List.of("cat", "dog").contains(thing.get("kind").asText()) && thing.get("count").isInt(), thing.toString());
    assertEquals("stop", answer.at("/choices/0/finish_reason").asText());
    assertTrue(JSON.readTree(text(served.answer(with(48, "response_format", "{\"type\":\"json_object\"}")))).isObject());
    assertFalse(text(served.answer(with(8, "response_format", "{\"type\":\"text\"}"))).startsWith("{"));
  }

  @Test
  void choicesAndPatterns() throws Exception {
    JsonNode answer = served.answer(with(16, "guided_choice", "[\"left\",\"right\",\"neither of them\"]"));
    JsonNode compared = answer.at("/choices/0/guided_choice");
    assertEquals(3, compared.size());
    double sum = 0;
    JsonNode best = compared.get(0);
    for (JsonNode choice : compared) {
      sum += choice.get("probability").asDouble();
      best = choice.get("logprob").asDouble() > best.get("logprob").asDouble() ? choice : best;
    }
    assertEquals(1, sum, 1e-6);
    assertEquals(best.get("text").asText(), text(answer));
    JsonNode matched = served.answer(with(16, "guided_regex", "\"[a-c]{3}-\\\\d\"", "temperature", "1", "seed", "3"));
    assertTrue(text(matched).matches("[a-c]{3}-\\d"), text(matched));
  }

  @Test
  void requiredAndNamedCalls() throws Exception {
    JsonNode answer = served.answer(with(64, "tools", TOOLS, "tool_choice", "\"required\""));
    assertEquals("tool_calls", answer.at("/choices/0/finish_reason").asText());
    JsonNode message = answer.at("/choices/0/message");
    assertTrue(message.get("content").isNull());
    assertEquals(1, message.get("tool_calls").size());
    assertTrue(List.of("weather", "now").contains(message.at("/tool_calls/0/function/name").asText()));
    JsonNode named = served.answer(with(64, "tools", TOOLS, "tool_choice", "{\"type\":\"function\",\"function\":{\"name\":\"weather\"}}"))
        .at("/choices/0/message/tool_calls/0");
    assertEquals("weather", named.at("/function/name").asText());
    assertEquals("function", named.get("type").asText());
    assertTrue(named.get("id").asText().startsWith("call_"));
    assertTrue(JSON.readTree(named.at("/function/arguments").asText()).get("place").asText().matches("[A-Z][a-z]{2,5}"));
  }

  @Test
  void callsInStreams() throws Exception {
    ObjectNode body = with(64, "tools", TOOLS, "tool_choice", "\"required\"", "stream", "true");
    List<JsonNode> events = served.stream(body);
    JsonNode last = events.getLast();
    assertEquals("tool_calls", last.at("/choices/0/finish_reason").asText());
    assertEquals(0, last.at("/choices/0/delta/tool_calls/0/index").asInt(-1));
    assertTrue(JSON.readTree(last.at("/choices/0/delta/tool_calls/0/function/arguments").asText()).isObject());
    assertTrue(events.stream().allMatch(e -> e.at("/choices/0/delta/content").asText("").isEmpty()));
  }

  @Test
  void leftOpenItIsATextOrACall() throws Exception {
    JsonNode message = served.answer(with(16, "tools", TOOLS)).at("/choices/0/message");
    assertTrue(message.has("tool_calls") != message.get("content").isTextual(), message.toString());
    JsonNode none = served.answer(with(8, "tools", TOOLS, "tool_choice", "\"none\"")).at("/choices/0/message");
    assertTrue(none.get("content").isTextual() && !none.has("tool_calls"));
  }

  @Test
  void whatWasCalledBelongsToTheConversation() throws Exception {
    served.answer(with(8, "messages", """
        [{"role":"user","content":"Weather?"},
         {"role":"assistant","content":null,"tool_calls":[{"id":"call_1","type":"function","function":{"name":"now","arguments":"{}"}}]},
         {"role":"tool","tool_call_id":"call_1","content":"sunny"}]"""));
  }

  @ParameterizedTest
  @CsvSource(delimiter = '|', value = {
      "response_format.type | response_format | {\"type\":\"xml\"}", "response_format.type | response_format | {}",
      "response_format.json_schema | response_format | {\"type\":\"json_schema\"}",
      "response_format.json_schema.schema | response_format | {\"type\":\"json_schema\",\"json_schema\":{\"name\":\"x\"}}",
      "response_format.json_schema.schema | response_format | {\"type\":\"json_schema\",\"json_schema\":{\"schema\":{\"not\":{}}}}",
      "tools[0].function | tools | [{}]", "tools[0].function | tools | [{\"type\":\"function\",\"function\":{\"name\":\"a b\"}}]",
      "tools | tools | [{\"function\":{\"name\":\"f\",\"parameters\":{\"type\":\"object\",\"minProperties\":1}}}]"})
  void whatIsWrongIsNamed(String param, String field, String value) throws Exception {
    HttpResponse<String> response = served.post(with(8, field, value));
    assertEquals(400, response.statusCode(), response.body());
    assertEquals(param, JSON.readTree(response.body()).at("/error/param").asText(), response.body());
  }
}
