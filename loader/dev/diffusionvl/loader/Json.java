// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.loader;

import com.fasterxml.jackson.core.JsonFactory;
import com.fasterxml.jackson.core.JsonLocation;
import com.fasterxml.jackson.core.JsonParser;
import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.core.JsonToken;
import com.fasterxml.jackson.core.StreamReadConstraints;
import com.fasterxml.jackson.core.StreamReadFeature;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/**
 * Strict JSON over Jackson's streaming parser: UTF-8 only, no duplicate names, nesting limited, nothing after the value. The streaming
 * parser alone is used: starting up data binding costs more than reading a small model's files, and a program that uses this library
 * needs no data binding on its class path.
 */
public final class Json {
  /** Above any real file; below what RecordScan of train follows, so that a record nested deeper is a bad record, not a bad file. */
  private static final int MAX_NESTING = 32;
  private static final JsonFactory FACTORY = JsonFactory.builder()
      // interning 150,000 vocabulary entries would only fill the JVM's string table
      .disable(JsonFactory.Feature.INTERN_FIELD_NAMES)
      .enable(StreamReadFeature.STRICT_DUPLICATE_DETECTION)
      .streamReadConstraints(StreamReadConstraints.builder().maxNestingDepth(MAX_NESTING).build())
      .build();
  private static final String MORE = "not valid JSON: something follows the value";

  /** Receives the parser standing on the first token of the file. */
  interface Reader<T> {
    T read(JsonParser parser) throws IOException;
  }

  private Json() {}

  /** Reads a file that must hold one JSON object. */
  static JsonObject readObject(Path file, int maxBytes) {
    return parse(file, InputFiles.read(file, maxBytes), parser -> new JsonObject(file, "", object(parser)));
  }

  /**
   * Runs a reader over a JSON text and turns every parse error into a {@link BadInputException} with the place in the
   * text.
   *
   * @param file only named in errors
   */
  static <T> T parse(Path file, byte[] utf8, Reader<T> reader) {
    ForeignContent.refuse(file, utf8);
    requireUtf8(file, utf8);
    try (JsonParser parser = FACTORY.createParser(utf8)) {
      parser.nextToken();
      T result = reader.read(parser);
      if (parser.nextToken() != null) {
        throw BadInputException.of(file, MORE);
      }
      return result;
    } catch (JsonProcessingException e) {
      JsonLocation at = e.getLocation();
      String place = at == null ? "" : " (line " + at.getLineNr() + ", column " + at.getColumnNr() + ")";
      throw new BadInputException(file + ": not valid JSON" + place + ": " + e.getOriginalMessage(), e);
    } catch (IOException e) {
      // the text is in memory, so this can only be malformed UTF-8
      throw new BadInputException(file + ": not valid JSON: " + e.getMessage(), e);
    }
  }

  /**
   * The value of a JSON text.
   *
   * @return a Map in the order of the text, List, String, Boolean, Long or BigInteger (integers), Double (any other number), or null
   * @throws BadInputException with the place in the text, if it is not valid JSON, nested deeper than 32, or has a name twice in an object
   */
  public static Object tree(String text) {
    try (JsonParser parser = FACTORY.createParser(text)) {
      if (parser.nextToken() == null) {
        throw new BadInputException("not valid JSON: empty");
      }
      Object value = value(parser);
      if (parser.nextToken() != null) {
        throw new BadInputException(MORE);
      }
      return value;
    } catch (JsonProcessingException e) {
      String problem = e.getOriginalMessage().lines().findFirst().orElse("");
      String place = e.getLocation() == null ? "" : " (character " + e.getLocation().getCharOffset() + ")";
      throw new BadInputException("not valid JSON" + place + ": " + problem, e);
    } catch (IOException e) {
      throw new UncheckedIOException(e); // the text is in memory
    }
  }

  /** Fails unless the parser stands on the start of an object. */
  static void requireObject(Path file, String field, JsonParser parser) {
    requireToken(file, field, parser, JsonToken.START_OBJECT, "an object");
  }

  static void requireToken(Path file, String field, JsonParser parser, JsonToken token, String expected) {
    if (parser.currentToken() != token) {
      String problem = "expected " + expected + ", found " + describe(parser.currentToken());
      throw field.isEmpty() ? BadInputException.of(file, problem) : BadInputException.of(file, field, problem);
    }
  }

  private static String describe(JsonToken token) {
    return switch (token) {
      case null -> "nothing";
      case START_OBJECT -> "an object";
      case START_ARRAY -> "an array";
      case VALUE_STRING -> "a string";
      case VALUE_NUMBER_INT, VALUE_NUMBER_FLOAT -> "a number";
      case VALUE_TRUE, VALUE_FALSE -> "a boolean";
      case VALUE_NULL -> "null";
      default -> "something else";
    };
  }

  /** The object that the parser stands on the start of, or null if it stands on another value. */
  private static Map<String, Object> object(JsonParser parser) throws IOException {
    return parser.currentToken() == JsonToken.START_OBJECT ? objectBody(parser) : null;
  }

  private static Map<String, Object> objectBody(JsonParser parser) throws IOException {
    Map<String, Object> map = new LinkedHashMap<>();
    while (parser.nextToken() != JsonToken.END_OBJECT) {
      String name = parser.currentName();
      parser.nextToken();
      map.put(name, value(parser));
    }
    return map;
  }

  /** String, Boolean, Long or BigInteger (integers), Double (everything else that is a number), Map, List or null. */
  static Object value(JsonParser parser) throws IOException {
    return switch (parser.currentToken()) {
      case START_OBJECT -> objectBody(parser);
      case START_ARRAY -> {
        List<Object> list = new ArrayList<>();
        while (parser.nextToken() != JsonToken.END_ARRAY) {
          list.add(value(parser));
        }
        yield list;
      }
      case VALUE_STRING -> parser.getText();
      case VALUE_NUMBER_INT -> parser.getNumberType() == JsonParser.NumberType.BIG_INTEGER
          ? (Object) parser.getBigIntegerValue() : (Object) parser.getLongValue();
      case VALUE_NUMBER_FLOAT -> parser.getDoubleValue();
      case VALUE_TRUE -> true;
      case VALUE_FALSE -> false;
      default -> null;
    };
  }

  /** Jackson would detect UTF-16 and UTF-32 by their zero bytes and byte order marks; the formats here are UTF-8. */
  private static void requireUtf8(Path file, byte[] text) {
    boolean wide = text.length > 0 && (text[0] == (byte) 0xfe || text[0] == (byte) 0xff);
    for (int i = 0; i < Math.min(4, text.length); i++) {
      wide |= text[i] == 0;
    }
    if (wide) {
      throw BadInputException.of(file, "not valid JSON: not UTF-8 text");
    }
  }
}
