// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.loader;

import com.fasterxml.jackson.core.JsonFactory;
import com.fasterxml.jackson.core.JsonGenerator;
import java.io.IOException;
import java.io.StringWriter;
import java.io.UncheckedIOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Comparator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.stream.Collectors;

/**
 * What a model directory holds, judged by its configuration and the headers of its weights alone: milliseconds,
 * whatever the size.
 *
 * @param family {@link ModelFamily#id}
 * @param diffusion false for a plain base model
 * @param parameters elements of the tensors that the model uses; a tied output matrix counts once
 * @param bytes what these take in the files
 * @param dtype their element type, INT4 or FP8 where quantised; several, joined by '+', the one with most elements first
 * @param missing tensors that the configuration calls for and the files lack, as this scheme names them
 * @param misshaped tensors with another shape than the configuration says, or of a type that is none of weights; and what is
 *     wrong with each
 * @param unexpected tensors that nothing needs, known leftovers apart
 * @param weightBytes what the weights take on a device in bf16; twice that in f32
 * @param cacheBytesPerToken what keys and values of one position take on a device in bf16; twice that in f32
 * @param unserved what of the configuration no kernel serves, field and reason; such a model cannot be run however complete it is
 * @param formats how quantised matrices are stored, and how many are stored so; empty if none is quantised
 */
public record Inspection(String family, boolean diffusion, NamingScheme scheme, long parameters, long bytes,
    String dtype, List<String> missing, Map<String, String> misshaped, List<String> unexpected, long weightBytes,
    long cacheBytesPerToken, List<String> unserved, Map<String, Integer> formats) {

  /**
   * Reads config.json and the headers of the weight files.
   *
   * @throws BadInputException if one of these files is absent or malformed; tensors that are absent are no such error
   */
  public static Inspection of(Path modelDir) {
    ModelConfig config = ModelConfig.load(modelDir);
    try (Checkpoint checkpoint = Checkpoint.openHeaders(modelDir)) {
      return of(config, checkpoint);
    }
  }

  private static Inspection of(ModelConfig config, Checkpoint checkpoint) {
    checkpoint.requireFamily(config);
    Map<String, long[]> expected = ModelShapes.of(config);
    List<String> missing = new ArrayList<>();
    Map<String, String> misshaped = new LinkedHashMap<>();
    Map<String, Long> elements = new TreeMap<>();
    Map<String, Integer> formats = new TreeMap<>();
    long bytes = 0;
    for (Map.Entry<String, long[]> entry : expected.entrySet()) {
      String name = checkpoint.scheme().nameInFile(entry.getKey());
      if (!checkpoint.contains(entry.getKey())) {
        missing.add(name);
        continue;
      }
      String problem = CheckpointCheck.problem(checkpoint, entry.getKey(), entry.getValue());
      if (problem != null) {
        misshaped.put(name, problem);
      }
      WeightFormat format = checkpoint.format(entry.getKey());
      if (format == null) {
        TensorView tensor = checkpoint.tensor(entry.getKey());
        elements.merge(tensor.type().name(), tensor.elements(), Long::sum);
        bytes += tensor.byteSize();
      } else {
        elements.merge(format.label(), Arrays.stream(entry.getValue()).reduce(1, Math::multiplyExact), Long::sum);
        formats.merge(format.describe(), 1, Integer::sum);
        bytes += checkpoint.storedBytes(entry.getKey());
      }
    }
    List<String> unexpected = CheckpointCheck.unexpected(checkpoint, config);
    long parameters = elements.values().stream().mapToLong(n -> n).sum();
    TextConfig text = config.text();
    return new Inspection(config.family().id(), config.diffusion(), checkpoint.scheme(), parameters, bytes,
        types(elements), missing, misshaped, unexpected, 2 * parameters, 2L * 2 * text.layers() * text.kvHeads() * text.headDim(),
        ServedSizes.problems(config), formats);
  }

  private static String types(Map<String, Long> elements) {
    return elements.entrySet().stream()
        .sorted(Map.Entry.<String, Long>comparingByValue(Comparator.reverseOrder()))
        .map(Map.Entry::getKey)
        .collect(Collectors.joining("+"));
  }

  /** How it is decoded unless one chooses: {@code block}, or {@code autoregressive} where it is no diffusion model. */
  public String decoding() {
    return diffusion ? "block" : "autoregressive";
  }

  /** Whether everything that the configuration calls for is there in the right shape. */
  public boolean complete() {
    return missing.isEmpty() && misshaped.isEmpty();
  }

  /** Bits that a number takes in the files, scales and zero points included. */
  public double bitsPerWeight() {
    return 8.0 * bytes / Math.max(1, parameters);
  }

  /** One JSON object on one line. */
  public String toJson() {
    StringWriter text = new StringWriter();
    try (JsonGenerator json = new JsonFactory().createGenerator(text)) {
      json.writeStartObject();
      json.writeStringField("family", family);
      json.writeBooleanField("diffusion", diffusion);
      json.writeStringField("decoding", decoding());
      json.writeStringField("scheme", scheme.letter());
      json.writeNumberField("parameters", parameters);
      json.writeNumberField("bytes", bytes);
      json.writeStringField("dtype", dtype);
      json.writeNumberField("bits_per_weight", bitsPerWeight());
      json.writeObjectFieldStart("formats");
      for (Map.Entry<String, Integer> format : formats.entrySet()) {
        json.writeNumberField(format.getKey(), format.getValue());
      }
      json.writeEndObject();
      json.writeBooleanField("complete", complete());
      write(json, "missing", missing);
      write(json, "misshaped", misshaped.keySet());
      write(json, "unexpected", unexpected);
      write(json, "unserved", unserved);
      json.writeNumberField("weight_bytes_bf16", weightBytes);
      json.writeNumberField("cache_bytes_per_token_bf16", cacheBytesPerToken);
      json.writeEndObject();
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
    return text.toString();
  }

  private static void write(JsonGenerator json, String name, Iterable<String> values) throws IOException {
    json.writeArrayFieldStart(name);
    for (String value : values) {
      json.writeString(value);
    }
    json.writeEndArray();
  }
}
