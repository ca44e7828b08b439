// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.loader;

import com.fasterxml.jackson.core.JsonParser;
import com.fasterxml.jackson.core.JsonToken;
import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Comparator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/**
 * Parses and checks the JSON header of a safetensors file. As in the format's own implementation the tensors must tile
 * the data section: no overlap, no hole, nothing behind the last one. Nothing read here is trusted before it is
 * checked.
 */
final class SafetensorsHeader {
  static final String METADATA = "__metadata__";
  private static final int MAX_RANK = 16;

  /** One entry; begin and end are offsets into the data section. */
  record Entry(String name, TensorType type, long[] shape, long begin, long end) {}

  private SafetensorsHeader() {}

  /**
   * @param file only named in errors
   * @param dataBytes length of the data section behind the header
   * @return the entries by name, in the order of the header
   * @throws BadInputException naming the file, the tensor and the problem
   */
  static Map<String, Entry> parse(Path file, byte[] json, long dataBytes) {
    if (json.length == 0 || json[0] != '{') {
      throw BadInputException.of(file, "header", "not a JSON object: is this a safetensors file?");
    }
    Map<String, Entry> entries = Json.parse(file, json, parser -> readEntries(file, parser));
    requireTiling(file, entries, dataBytes);
    return entries;
  }

  private static Map<String, Entry> readEntries(Path file, JsonParser parser) throws IOException {
    Json.requireObject(file, "header", parser);
    Map<String, Entry> entries = new LinkedHashMap<>();
    while (parser.nextToken() != JsonToken.END_OBJECT) {
      String name = parser.currentName();
      parser.nextToken();
      if (name.equals(METADATA)) {
        skipMetadata(file, parser);
      } else {
        // duplicate names are refused by the parser
        entries.put(name, readEntry(file, name, parser));
      }
    }
    return entries;
  }

  private static void skipMetadata(Path file, JsonParser parser) throws IOException {
    Json.requireObject(file, METADATA, parser);
    while (parser.nextToken() != JsonToken.END_OBJECT) {
      parser.nextToken();
      Json.requireToken(file, METADATA, parser, JsonToken.VALUE_STRING, "strings only");
    }
  }

  private static Entry readEntry(Path file, String name, JsonParser parser) throws IOException {
    Json.requireObject(file, name, parser);
    TensorType type = null;
    long[] shape = null;
    long[] offsets = null;
    while (parser.nextToken() != JsonToken.END_OBJECT) {
      String field = parser.currentName();
      parser.nextToken();
      switch (field) {
        case "dtype" -> type = readType(file, name, parser);
        case "shape" -> shape = readNaturals(file, name, field, parser);
        case "data_offsets" -> offsets = readNaturals(file, name, field, parser);
        default -> parser.skipChildren();
      }
    }
    if (type == null || shape == null || offsets == null) {
      String missing = type == null ? "dtype" : shape == null ? "shape" : "data_offsets";
      throw BadInputException.of(file, name, missing + " is missing");
    }
    if (offsets.length != 2 || offsets[0] > offsets[1]) {
      throw BadInputException.of(file, name, "data_offsets " + Arrays.toString(offsets) + " is no [begin, end]");
    }
    long bytes = byteSize(file, name, type, shape);
    if (bytes != offsets[1] - offsets[0]) {
      throw BadInputException.of(file, name, type + Arrays.toString(shape) + " needs " + bytes
          + " bytes, data_offsets give " + (offsets[1] - offsets[0]));
    }
    return new Entry(name, type, shape, offsets[0], offsets[1]);
  }

  private static TensorType readType(Path file, String name, JsonParser parser) throws IOException {
    Json.requireToken(file, name + ".dtype", parser, JsonToken.VALUE_STRING, "a string");
    TensorType type = TensorType.of(parser.getText());
    if (type == null) {
      throw BadInputException.of(file, name, "unknown dtype '" + parser.getText() + "'");
    }
    return type;
  }

  private static long[] readNaturals(Path file, String name, String field, JsonParser parser) throws IOException {
    String where = name + "." + field;
    Json.requireToken(file, where, parser, JsonToken.START_ARRAY, "an array");
    long[] values = new long[MAX_RANK];
    int count = 0;
    while (parser.nextToken() != JsonToken.END_ARRAY) {
      Json.requireToken(file, where, parser, JsonToken.VALUE_NUMBER_INT, "integers");
      if (count == MAX_RANK) {
        throw BadInputException.of(file, where, "more than " + MAX_RANK + " entries");
      }
      if (parser.getNumberType() == JsonParser.NumberType.BIG_INTEGER || parser.getLongValue() < 0) {
        throw BadInputException.of(file, where, parser.getText() + " is negative or too large");
      }
      values[count++] = parser.getLongValue();
    }
    return Arrays.copyOf(values, count);
  }

  private static long byteSize(Path file, String name, TensorType type, long[] shape) {
    long size = type.bytes();
    boolean empty = Arrays.stream(shape).anyMatch(d -> d == 0);
    try {
      for (long dimension : shape) {
        size = empty ? 0 : Math.multiplyExact(size, dimension);
      }
    } catch (ArithmeticException e) {
      throw new BadInputException(file + ": " + name + ": shape " + Arrays.toString(shape) + " overflows", e);
    }
    return size;
  }

  private static void requireTiling(Path file, Map<String, Entry> entries, long dataBytes) {
    List<Entry> ordered = new ArrayList<>(entries.values());
    ordered.sort(Comparator.comparingLong(Entry::begin).thenComparingLong(Entry::end));
    long end = 0;
    for (Entry entry : ordered) {
      if (entry.end() > dataBytes) {
        throw BadInputException.of(file, entry.name(), "ends at byte " + entry.end() + " of the data, the file holds "
            + dataBytes + ": truncated?");
      }
      if (entry.begin() < end) {
        throw BadInputException.of(file, entry.name(), "overlaps the tensor before it");
      }
      if (entry.begin() > end) {
        throw BadInputException.of(file, entry.name(), (entry.begin() - end) + " bytes before it belong to no tensor");
      }
      end = entry.end();
    }
    if (end != dataBytes) {
      throw BadInputException.of(file, (dataBytes - end) + " bytes after the last tensor belong to none");
    }
  }
}
