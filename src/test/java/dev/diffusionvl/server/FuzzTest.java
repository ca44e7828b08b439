// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.server;

import static dev.diffusionvl.server.ServedModel.JSON;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.net.Socket;
import java.net.http.HttpResponse;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import java.util.Set;
import org.junit.jupiter.api.Test;

/** Requests that were spoilt by chance are answered or refused, and never a fault of ours; the profile nightly sends 10,000. */
class FuzzTest {
  private static final int REQUESTS = Integer.getInteger("dvl.server.fuzz", 500);
  private static final Set<Integer> EXPECTED = Set.of(200, 400, 404, 413);

  private final Random random = new Random(Long.getLong("dvl.fuzz.seed", 1));

  @Test
  void neverAFaultOfOurs() throws Exception {
    try (ServedModel served = new ServedModel()) {
      int good = 0;
      for (int i = 0; i < REQUESTS; i++) {
        byte[] body = spoilt();
        HttpResponse<String> response = served.send(served.completion(body));
        String what = response.statusCode() + " " + response.body() + "\nfor " + new String(body, StandardCharsets.UTF_8);
        assertTrue(EXPECTED.contains(response.statusCode()), what);
        good += response.statusCode() == 200 ? 1 : 0;
        if (response.statusCode() != 200) {
          assertTrue(JSON.readTree(response.body()).at("/error/message").asText().length() > 3, what);
        }
      }
      assertTrue(good > REQUESTS / 50 && good < REQUESTS, good + " of " + REQUESTS + " were good");
      served.awaitIdle();
      assertEquals(Runtime.getRuntime().maxMemory() / 2, served.server.freeBudget());
      assertEquals(0, served.engine.stats().failed());
    }
  }

  /** Heads, too: what is not HTTP any more gets 400, another answer that is no fault of ours, or none. */
  @Test
  void spoiltHeads() throws Exception {
    try (ServedModel served = new ServedModel()) {
      String good = "POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nAuthorization: Bearer x\r\n"
          + "Content-Length: 50\r\nConnection: close\r\n\r\n{\"messages\":[{\"role\":\"user\",\"content\":\"x\"}],\"n\":0}";
      for (int i = 0; i < REQUESTS; i++) {
        byte[] head = good.getBytes(StandardCharsets.UTF_8);
        for (int n = 1 + random.nextInt(3); n > 0; n--) {
          head[random.nextInt(head.length)] = (byte) (random.nextBoolean() ? random.nextInt(256) : head[random.nextInt(head.length)]);
        }
        try (Socket socket = new Socket("127.0.0.1", served.server.port())) {
          socket.setSoTimeout(60_000);
          socket.getOutputStream().write(head);
          socket.shutdownOutput();
          String response = new String(socket.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
          assertTrue(response.isEmpty() || response.matches("(?s)HTTP/1\\.1 ([1-4]|505).*"),
              new String(head, StandardCharsets.UTF_8) + response);
        }
      }
      assertEquals(200, served.get("/health").statusCode());
    }
  }

  /** A good request with one to three spoilt places in its tree, or in its bytes. */
  private byte[] spoilt() {
    ObjectNode body = full();
    for (int n = 1 + random.nextInt(3); n > 0; n--) {
      spoil(body);
    }
    byte[] bytes = body.toString().getBytes(StandardCharsets.UTF_8);
    if (random.nextInt(4) == 0) {
      for (int n = 1 + random.nextInt(3); n > 0; n--) {
        bytes[random.nextInt(bytes.length)] = (byte) random.nextInt(256);
      }
    }
    return bytes;
  }

  private static ObjectNode full() {
    ObjectNode body = ServedModel.askImage("What is it?", 8);
    ((ArrayNode) body.get("messages")).insertObject(0).put("role", "system").put("content", "Be brief.");
    body.put("temperature", 0).put("top_p", 1).put("seed", 3).put("n", 1).put("stop", "x").put("logprobs", false).put("stream", false)
        .put("user", "u");
    body.putObject("diffusion").put("steps", 2).put("remasking", "low_confidence_dynamic").put("confidence_threshold", 0.5);
    return body;
  }

  private void spoil(ObjectNode body) {
    List<JsonNode> containers = new ArrayList<>();
    collect(body, containers);
    JsonNode container = containers.get(random.nextInt(containers.size()));
    if (container instanceof ObjectNode object && !object.isEmpty()) {
      List<String> names = new ArrayList<>();
      object.fieldNames().forEachRemaining(names::add);
      String name = names.get(random.nextInt(names.size()));
      switch (random.nextInt(4)) {
        case 0 -> object.remove(name);
        case 1 -> object.set(text(), value());
        default -> object.set(name, value());
      }
    } else if (container instanceof ArrayNode array) {
      switch (array.isEmpty() ? 0 : random.nextInt(3)) {
        case 0 -> array.add(value());
        case 1 -> array.remove(random.nextInt(array.size()));
        default -> array.set(random.nextInt(array.size()), value());
      }
    }
  }

  private static void collect(JsonNode node, List<JsonNode> containers) {
    if (node.isContainerNode()) {
      containers.add(node);
      node.forEach(child -> collect(child, containers));
    }
  }

  private JsonNode value() {
    JsonNodeFactory make = JsonNodeFactory.instance;
    return switch (random.nextInt(14)) {
      case 0 -> make.nullNode();
      case 1 -> make.booleanNode(random.nextBoolean());
      case 2 -> make.numberNode(random.nextInt(4));
      case 3 -> make.numberNode(random.nextLong());
      case 4 -> make.numberNode(random.nextGaussian());
      case 5 -> make.numberNode(new java.math.BigInteger("9".repeat(1 + random.nextInt(60))));
      case 6 -> make.numberNode(Double.MAX_VALUE);
      case 7 -> make.arrayNode().add(text());
      case 8 -> make.objectNode().put("type", text());
      case 9 -> make.objectNode();
      case 10 -> make.arrayNode();
      default -> make.textNode(text());
    };
  }

  private String text() {
    List<String> words = List.of("", "user", "assistant", "system", "text", "image_url", "<image>", "<|im_end|>", "\ud800",
        "e\u0301\u0301", "data:image/png;base64,",
        "data:image/gif;base64,R0lGODlhAQABAAAAACw=", "http://127.0.0.1/", "\u0000",
        "👩‍👩‍👧", "low_confidence_static");
    return random.nextInt(6) == 0 ? "é".repeat(random.nextInt(3000)) : words.get(random.nextInt(words.size()));
  }
}
