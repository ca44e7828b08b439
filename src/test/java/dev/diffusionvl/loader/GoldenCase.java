// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.loader;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.stream.Stream;

/** One golden case of the reference; reads its tensors by itself, so that our own reader cannot hide its mistakes. */
record GoldenCase(Path folder, JsonNode json) {
  static final Path MODEL = Path.of("samples/models/diffusionvl-tiny");
  private static final Path ROOT = Path.of("src/test/resources/golden");
  private static final ObjectMapper JSON = new ObjectMapper();

  static List<GoldenCase> all() {
    try (Stream<Path> folders = Files.list(ROOT)) {
      return folders.filter(Files::isDirectory).sorted().map(GoldenCase::read).toList();
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  private static GoldenCase read(Path folder) {
    try {
      return new GoldenCase(folder, JSON.readTree(folder.resolve("case.json").toFile()));
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  int[] promptTokenIds() {
    return JSON.convertValue(json.get("prompt_token_ids"), int[].class);
  }

  List<Path> images() {
    return json.get("images").valueStream().map(name -> folder.resolve(name.asText())).toList();
  }

  /** A float32 tensor of the case's file. */
  float[] tensor(String name) throws IOException {
    byte[] bytes = Files.readAllBytes(folder.resolve("tensors.safetensors"));
    ByteBuffer file = ByteBuffer.wrap(bytes).order(ByteOrder.LITTLE_ENDIAN);
    int headerBytes = Math.toIntExact(file.getLong(0));
    JsonNode entry = JSON.readTree(new String(bytes, 8, headerBytes, StandardCharsets.UTF_8)).get(name);
    if (!entry.get("dtype").asText().equals("F32")) {
      throw new IllegalStateException(name + " is " + entry.get("dtype"));
    }
    int begin = 8 + headerBytes + entry.get("data_offsets").get(0).asInt();
    int end = 8 + headerBytes + entry.get("data_offsets").get(1).asInt();
    float[] values = new float[(end - begin) / Float.BYTES];
    file.slice(begin, end - begin).order(ByteOrder.LITTLE_ENDIAN).asFloatBuffer().get(values);
    return values;
  }

  @Override
  public String toString() {
    return folder.getFileName().toString();
  }
}
