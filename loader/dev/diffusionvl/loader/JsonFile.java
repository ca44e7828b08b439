// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.loader;

import com.fasterxml.jackson.core.JsonFactory;
import com.fasterxml.jackson.core.JsonParser;
import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.core.JsonToken;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.util.function.Function;

/**
 * Streaming walk through one JSON file whose complaints name file and field. Streaming, since tokenizer.json has 7 MB
 * for the real models and a tree of it would cost a second of start-up.
 */
final class JsonFile implements AutoCloseable {
  private static final JsonFactory JSON =
      JsonFactory.builder().disable(JsonFactory.Feature.CANONICALIZE_FIELD_NAMES).build();

  private final Path file;
  private final JsonParser parser;

  /** What to do with a value; the parser stands on its first token and must stand on its last one afterwards. */
  interface Value {
    void read(String name) throws IOException;
  }

  private JsonFile(Path file, JsonParser parser) {
    this.file = file;
    this.parser = parser;
  }

  /** Hands the top-level fields of the object in `file` to `fields`. */
  static void readObject(Path file, Function<JsonFile, Value> fields) {
    try (JsonFile json = new JsonFile(file, JSON.createParser(Files.newInputStream(file)))) {
      json.parser.nextToken();
      json.object("top level", fields.apply(json));
      if (json.parser.nextToken() != null) {
        throw json.bad("top level", "something follows the object");
      }
    } catch (NoSuchFileException e) {
      throw new BadInputException(file + ": no such file");
    } catch (JsonProcessingException e) {
      long line = e.getLocation() == null ? 0 : e.getLocation().getLineNr();
      throw BadInputException.of(file, "line " + line, "not JSON: " + e.getOriginalMessage());
    } catch (IOException e) {
      throw new BadInputException(file + ": cannot be read: " + e.getMessage());
    }
  }

  /** Each field of the object the parser stands on. */
  void object(String path, Value each) throws IOException {
    if (parser.currentToken() != JsonToken.START_OBJECT) {
      throw bad(path, "must be an object, is " + found());
    }
    while (parser.nextToken() == JsonToken.FIELD_NAME) {
      String name = parser.currentName();
      parser.nextToken();
      each.read(name);
    }
  }

  /** Each element of the array the parser stands on; its name is its index. */
  void array(String path, Value each) throws IOException {
    if (parser.currentToken() != JsonToken.START_ARRAY) {
      throw bad(path, "must be an array, is " + found());
    }
    for (int i = 0; parser.nextToken() != JsonToken.END_ARRAY; i++) {
      each.read(Integer.toString(i));
    }
  }

  boolean atArray() {
    return parser.currentToken() == JsonToken.START_ARRAY;
  }

  boolean atObject() {
    return parser.currentToken() == JsonToken.START_OBJECT;
  }

  boolean atNull() {
    return parser.currentToken() == JsonToken.VALUE_NULL;
  }

  boolean atString() {
    return parser.currentToken() == JsonToken.VALUE_STRING;
  }

  String string(String path) throws IOException {
    if (!atString()) {
      throw bad(path, "must be a string, is " + found());
    }
    return parser.getText();
  }

  int integer(String path) throws IOException {
    if (parser.currentToken() != JsonToken.VALUE_NUMBER_INT || parser.getNumberType() != JsonParser.NumberType.INT) {
      throw bad(path, "must be a whole number of 32 bits, is " + found());
    }
    return parser.getIntValue();
  }

  boolean bool(String path) throws IOException {
    if (!parser.currentToken().isBoolean()) {
      throw bad(path, "must be true or false, is " + found());
    }
    return parser.getBooleanValue();
  }

  void skip() throws IOException {
    parser.skipChildren();
  }

  BadInputException bad(String path, String problem) {
    return BadInputException.of(file, path, problem);
  }

  private String found() throws IOException {
    JsonToken token = parser.currentToken();
    return token == null ? "missing" : switch (token) {
      case START_ARRAY -> "an array";
      case START_OBJECT -> "an object";
      case VALUE_STRING -> "a string";
      default -> abbreviated(parser.getText());
    };
  }

  private static String abbreviated(String text) {
    return text.length() <= 40 ? text : text.substring(0, 40) + "...";
  }

  @Override
  public void close() throws IOException {
    parser.close();
  }
}
