// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.loader;

import com.fasterxml.jackson.core.JsonFactory;
import com.fasterxml.jackson.core.JsonGenerator;
import com.fasterxml.jackson.core.JsonParser;
import com.fasterxml.jackson.core.JsonToken;
import com.fasterxml.jackson.core.util.DefaultIndenter;
import com.fasterxml.jackson.core.util.DefaultPrettyPrinter;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.EnumMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.function.Predicate;
import java.util.regex.Pattern;
import java.util.stream.Stream;

/** Writes checkpoint folders: new weights, with configuration, tokenizer and licence of the checkpoint that they came from. */
public final class CheckpointWriter {
  private static final String CONFIG = "config.json";
  private static final String IMAGE_SETTINGS = "preprocessor_config.json";
  private static final int MAX_FILE_BYTES = 256 << 20;
  /** Weights in any format, and what is not part of a checkpoint: the logs and pictures of the run that made it, too. */
  private static final Pattern NOT_COPIED =
      Pattern.compile("\\..*|.*\\.(safetensors|bin|pt|pth|ckpt|gguf|onnx|h5|msgpack|index\\.json|part|jsonl|svg)");

  private CheckpointWriter() {}

  /**
   * Writes a folder.
   *
   * @param target must not exist; it is there as a whole or not at all
   * @param bases checkpoints whose other files are copied: the first's, and of another the settings of its image processor
   * @param scheme how the tensors are named in the files
   * @param tensors by canonical names
   * @param config fields of config.json to be changed or added: strings, numbers, booleans, lists and objects of these, or null
   * @param maxShardBytes see {@link SafetensorsWriter#writeModel}
   * @throws BadInputException if the target exists or cannot be made, or a file of the base cannot be read
   * @throws OutputException if the disk is full; nothing is left then
   */
  public static void write(Path target, List<Path> bases, NamingScheme scheme, List<SafetensorsWriter.Tensor> tensors,
      Map<String, ?> config,
      long maxShardBytes) {
    try (OutputFolder folder = OutputFolder.create(target)) {
      copyFiles(bases.getFirst(), name -> !NOT_COPIED.matcher(name).matches(), folder.path(), config);
      for (Path other : bases.subList(1, bases.size())) {
        copyFiles(other, IMAGE_SETTINGS::equals, folder.path(), config);
      }
      Map<NamingScheme.Part, List<SafetensorsWriter.Tensor>> parts = new EnumMap<>(NamingScheme.Part.class);
      for (SafetensorsWriter.Tensor tensor : tensors) {
        parts.computeIfAbsent(scheme.part(tensor.name()), part -> new ArrayList<>()).add(
            new SafetensorsWriter.Tensor(scheme.nameInFile(tensor.name()), tensor.type(), tensor.shape(), tensor.data()));
      }
      parts.forEach((part, list) -> {
        switch (part) {
          case VISION -> SafetensorsWriter.writeFile(folder.path().resolve(CheckpointFiles.VISION), list);
          case PROJECTOR -> SafetensorsWriter.writeFile(folder.path().resolve(CheckpointFiles.PROJECTOR), list);
          case MAIN -> SafetensorsWriter.writeModel(folder.path(), list, maxShardBytes);
        }
      });
      folder.commit();
    }
  }

  private static void copyFiles(Path base, Predicate<String> wanted, Path folder, Map<String, ?> config) {
    try (Stream<Path> files = Files.list(base)) {
      for (Path file : files.filter(Files::isRegularFile).sorted().toList()) {
        String name = file.getFileName().toString();
        if (wanted.test(name)) {
          byte[] content = InputFiles.read(file, MAX_FILE_BYTES);
          OutputFile.write(folder.resolve(name), name.equals(CONFIG) && !config.isEmpty() ? changed(file, content, config) : content);
        }
      }
    } catch (IOException e) {
      throw InputFiles.failure(base, e);
    }
  }

  /** The object with some fields replaced, in their places, and others added at the end. */
  private static byte[] changed(Path file, byte[] content, Map<String, ?> config) {
    ByteArrayOutputStream text = new ByteArrayOutputStream();
    Map<String, Object> left = new LinkedHashMap<>(config);
    Json.parse(file, content, parser -> {
      Json.requireObject(file, "", parser);
      try (JsonGenerator json = new JsonFactory().createGenerator(text)) {
        json.setPrettyPrinter(new DefaultPrettyPrinter().withObjectIndenter(new DefaultIndenter("  ", "\n")));
        json.writeStartObject();
        while (parser.nextToken() != JsonToken.END_OBJECT) {
          copyField(parser, json, left);
        }
        for (Map.Entry<String, Object> added : left.entrySet()) {
          json.writeFieldName(added.getKey());
          writeValue(json, added.getValue());
        }
        json.writeEndObject();
      }
      return text;
    });
    return text.toByteArray();
  }

  private static void copyField(JsonParser parser, JsonGenerator json, Map<String, Object> changed) throws IOException {
    String name = parser.currentName();
    parser.nextToken();
    json.writeFieldName(name);
    if (changed.containsKey(name)) {
      writeValue(json, changed.remove(name));
      parser.skipChildren();
    } else {
      json.copyCurrentStructure(parser);
    }
  }

  private static void writeValue(JsonGenerator json, Object value) throws IOException {
    switch (value) {
      case null -> json.writeNull();
      case String text -> json.writeString(text);
      case Boolean flag -> json.writeBoolean(flag);
      case Integer number -> json.writeNumber(number);
      case Long number -> json.writeNumber(number);
      case Float number -> json.writeNumber(number);
      case Double number -> json.writeNumber(number);
      case List<?> list -> {
        json.writeStartArray();
        for (Object element : list) {
          writeValue(json, element);
        }
        json.writeEndArray();
      }
      case Map<?, ?> object -> {
        json.writeStartObject();
        for (Map.Entry<?, ?> field : object.entrySet()) {
          json.writeFieldName((String) field.getKey());
          writeValue(json, field.getValue());
        }
        json.writeEndObject();
      }
      default -> throw new IllegalArgumentException(value.getClass() + " is no value of a field");
    }
  }
}
