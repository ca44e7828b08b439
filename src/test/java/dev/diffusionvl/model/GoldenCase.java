// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.model;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import dev.diffusionvl.loader.ImageFiles;
import dev.diffusionvl.loader.PromptForm;
import dev.diffusionvl.loader.RgbImage;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.stream.Stream;

/** One case of src/test/resources/golden: inputs, what the reference returned, and its intermediate tensors. */
public record GoldenCase(String name, Path folder, JsonNode json) {
  private static final Path ROOT = Path.of("src/test/resources/golden");
  public static final Path MODEL = Path.of("samples/models/diffusionvl-tiny");

  public static List<GoldenCase> all() {
    try (Stream<Path> folders = Files.list(ROOT)) {
      List<GoldenCase> cases = new ArrayList<>();
      for (Path folder : folders.filter(Files::isDirectory).sorted().toList()) {
        cases.add(new GoldenCase(folder.getFileName().toString(), folder,
            new ObjectMapper().readTree(folder.resolve("case.json").toFile())));
      }
      return cases;
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  /** The image files, in order. */
  public List<Path> images() {
    return json.get("images").valueStream().map(image -> folder.resolve(image.asText())).toList();
  }

  public int[] promptTokenIds() {
    return ints(json.get("prompt_token_ids"));
  }

  Request request() {
    List<RgbImage> images = images().stream().map(ImageFiles::read).toList();
    return new Request(json.get("prompt").asText(), images, null, PromptForm.OFFICIAL);
  }

  GenerationOptions options(boolean compat) {
    JsonNode g = json.get("generation");
    List<double[]> uniforms = null;
    if (json.get("uniforms").isArray()) {
      uniforms = new ArrayList<>();
      for (JsonNode row : json.get("uniforms")) {
        double[] values = new double[row.size()];
        for (int i = 0; i < values.length; i++) {
          values[i] = row.get(i).asDouble();
        }
        uniforms.add(values);
      }
    }
    Decoding decoding = new Decoding.Block(0, g.get("steps").asInt(),
        GenerationOptions.Remasking.valueOf(g.get("remasking_strategy").asText().toUpperCase()),
        (float) g.get("confidence_threshold").asDouble());
    Sampling sampling = new Sampling((float) g.get("temperature").asDouble(), g.get("top_k").asInt(), (float) g.get("top_p").asDouble(), 0,
        uniforms);
    return new GenerationOptions(g.get("gen_length").asInt(), decoding, sampling, compat, Execution.DEFAULTS, null);
  }

  int[] expectedIds() {
    return ints(json.get("expected").get("token_ids"));
  }

  static int[] ints(JsonNode array) {
    int[] values = new int[array.size()];
    for (int i = 0; i < values.length; i++) {
      values[i] = array.get(i).asInt();
    }
    return values;
  }

  /** An f32 tensor of the case, or null when the case has none of that name. Read here without the loader: this is the oracle's side. */
  public float[] tensor(String tensor) throws IOException {
    byte[] file = Files.readAllBytes(folder.resolve("tensors.safetensors"));
    ByteBuffer bytes = ByteBuffer.wrap(file).order(ByteOrder.LITTLE_ENDIAN);
    int header = (int) bytes.getLong(0);
    JsonNode entry = new ObjectMapper().readTree(new String(file, 8, header, StandardCharsets.UTF_8)).get(tensor);
    if (entry == null) {
      return null;
    }
    int begin = 8 + header + entry.get("data_offsets").get(0).asInt();
    int end = 8 + header + entry.get("data_offsets").get(1).asInt();
    float[] values = new float[(end - begin) / 4];
    MemorySegment.copy(MemorySegment.ofArray(file), ValueLayout.JAVA_FLOAT_UNALIGNED, begin, values, 0, values.length);
    return values;
  }

  @Override
  public String toString() {
    return name;
  }
}
