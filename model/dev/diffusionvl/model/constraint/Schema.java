// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.model.constraint;

import dev.diffusionvl.loader.BadInputException;
import java.math.BigDecimal;
import java.math.BigInteger;
import java.util.ArrayList;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Set;

/**
 * A JSON schema, or one inside it, as its text has it, with reads that say what is wrong and where.
 *
 * @param path of this schema in the whole, for messages
 * @param keywords of the schema; of {@code true} none, of {@code false} an empty enum
 */
record Schema(String path, Map<String, Object> keywords) {
  /** Keywords that say nothing about what is valid. */
  private static final Set<String> ANNOTATIONS = Set.of("$schema", "$id", "$comment", "$defs", "definitions", "title", "description",
      "default", "examples", "deprecated", "readOnly", "writeOnly", "contentEncoding", "contentMediaType");
  private static final Set<String> ASSERTIONS = Set.of("$ref", "type", "enum", "const", "properties", "required", "additionalProperties",
      "items", "prefixItems", "minItems", "maxItems", "minLength", "maxLength", "pattern", "format", "minimum", "maximum",
      "exclusiveMinimum", "exclusiveMaximum", "allOf", "anyOf", "oneOf");
  private static final Set<String> TYPES = Set.of("null", "boolean", "integer", "number", "string", "array", "object");

  /** @throws BadInputException naming what is no schema, or a keyword that is not supported */
  static Schema of(String path, Object value) {
    if (value instanceof Boolean all) {
      return new Schema(path, all ? Map.of() : Map.of("enum", List.of()));
    }
    if (!(value instanceof Map<?, ?> map)) {
      throw error(path, "a schema is an object, true or false");
    }
    if (map.containsKey("$id") && !path.isEmpty() && !path.equals("#")) {
      throw error(path, "the keyword $id is not supported inside a schema, where it moves references");
    }
    Map<String, Object> keywords = new LinkedHashMap<>();
    map.forEach((name, argument) -> {
      String keyword = (String) name;
      if (ASSERTIONS.contains(keyword)) {
        keywords.put(keyword, argument);
      } else if (!ANNOTATIONS.contains(keyword) && !saysNothing(keyword, argument)) {
        throw error(path, "the keyword " + keyword + " is not supported");
      }
    });
    return new Schema(path, keywords);
  }

  private static boolean saysNothing(String keyword, Object argument) {
    return switch (keyword) {
      case "uniqueItems" -> Boolean.FALSE.equals(argument);
      case "minProperties" -> Long.valueOf(0).equals(argument);
      default -> false;
    };
  }

  static BadInputException error(String path, String problem) {
    return new BadInputException("JSON schema: " + (path.isEmpty() ? "" : path + ": ") + problem);
  }

  BadInputException error(String problem) {
    return error(path, problem);
  }

  String at(String name) {
    return path.isEmpty() ? name : path + "." + name;
  }

  boolean has(String keyword) {
    return keywords.containsKey(keyword);
  }

  Object get(String keyword) {
    return keywords.get(keyword);
  }

  Schema without(String... names) {
    Map<String, Object> rest = new LinkedHashMap<>(keywords);
    rest.keySet().removeAll(List.of(names));
    return new Schema(path, rest);
  }

  Schema child(String keyword) {
    return of(at(keyword), get(keyword));
  }

  List<?> list(String keyword) {
    if (get(keyword) instanceof List<?> list) {
      return list;
    }
    throw error(keyword + ": expected an array");
  }

  /** The schemas of allOf, anyOf, oneOf or prefixItems; none where the keyword is missing. */
  List<Schema> children(String keyword) {
    List<Schema> all = new ArrayList<>();
    for (Object child : has(keyword) ? list(keyword) : List.of()) {
      all.add(of(at(keyword) + "[" + all.size() + "]", child));
    }
    return all;
  }

  Map<String, Schema> properties() {
    Map<String, Schema> all = new LinkedHashMap<>();
    if (has("properties")) {
      if (!(get("properties") instanceof Map<?, ?> map)) {
        throw error("properties: expected an object");
      }
      map.forEach((name, schema) -> all.put((String) name, of(at("properties." + name), schema)));
    }
    return all;
  }

  Set<String> required() {
    Set<String> names = new LinkedHashSet<>();
    for (Object name : has("required") ? list("required") : List.of()) {
      if (!(name instanceof String text)) {
        throw error("required: expected names");
      }
      names.add(text);
    }
    return names;
  }

  /** Schema of properties that are not named, or null: there may be none. */
  Schema others() {
    Schema others = has("additionalProperties") ? child("additionalProperties") : new Schema(at("additionalProperties"), Map.of());
    return List.of().equals(others.get("enum")) ? null : others;
  }

  /** A number of characters or items. @param absent where the keyword is missing */
  int count(String keyword, int absent) {
    BigDecimal value = number(keyword);
    if (value == null) {
      return absent;
    }
    if (value.signum() < 0 || value.stripTrailingZeros().scale() > 0) {
      throw error(keyword + ": expected a whole number of 0 or more");
    }
    return value.min(BigDecimal.valueOf(1 << 30)).intValue();
  }

  /** Null where the keyword is missing. */
  BigDecimal number(String keyword) {
    return switch (get(keyword)) {
      case null -> null;
      case Long n -> BigDecimal.valueOf(n);
      case BigInteger n -> new BigDecimal(n);
      case Double d when Double.isFinite(d) && Math.abs(d) < 1e300 -> BigDecimal.valueOf(d);
      default -> throw error(keyword + ": expected a number");
    };
  }

  String text(String keyword) {
    if (get(keyword) instanceof String text) {
      return text;
    }
    throw error(keyword + ": expected a string");
  }

  /** The values that enum and const leave; null where there is neither. */
  List<?> values() {
    List<?> all = has("enum") ? list("enum") : null;
    if (has("const")) {
      String only = JsonText.of(get("const"));
      return all == null || all.stream().anyMatch(v -> JsonText.of(v).equals(only)) ? Collections.singletonList(get("const"))
          : List.of();
    }
    return all;
  }

  /** The types that values may have; number holds integer. */
  Set<String> types() {
    Set<String> types = new LinkedHashSet<>();
    if (!has("type")) {
      types.addAll(List.of("null", "boolean", "number", "string", "array", "object"));
      return types;
    }
    for (Object type : get("type") instanceof List<?> list ? list : List.of(text("type"))) {
      if (!TYPES.contains(type)) {
        throw error("type: " + type + " is no type");
      }
      types.add((String) type);
    }
    if (types.contains("number")) {
      types.remove("integer");
    }
    return types;
  }

  /** The type of a value; of a whole number, integer. */
  static String typeOf(Object value) {
    return switch (value) {
      case null -> "null";
      case Boolean b -> "boolean";
      case String s -> "string";
      case List<?> l -> "array";
      case Map<?, ?> m -> "object";
      case Double d when d != Math.rint(d) -> "number";
      default -> "integer";
    };
  }

  /** What items says depends on prefixItems beside it. */
  private boolean listsItems() {
    return has("items") || has("prefixItems");
  }

  /**
   * One schema that says what both say; null where that cannot be written by putting their keywords together: both say something of one
   * thing, or a property that one of them does not name is the other's business.
   */
  Schema with(Schema other) {
    if (keywords.isEmpty() || other.keywords().isEmpty()) {
      return keywords.isEmpty() ? other : this;
    }
    if (has("additionalProperties") || other.has("additionalProperties") || listsItems() && other.listsItems()) {
      return null;
    }
    Map<String, Object> both = new LinkedHashMap<>(keywords);
    for (Map.Entry<String, Object> entry : other.keywords().entrySet()) {
      String keyword = entry.getKey();
      if (!has(keyword)) {
        both.put(keyword, entry.getValue());
      } else if (keyword.equals("required")) {
        Set<String> names = required();
        names.addAll(other.required());
        both.put(keyword, List.copyOf(names));
      } else if (keyword.equals("properties")) {
        Map<String, Object> all = new LinkedHashMap<>();
        properties().forEach((name, schema) -> all.put(name, schema.keywords()));
        for (Map.Entry<String, Schema> property : other.properties().entrySet()) {
          Object before = all.putIfAbsent(property.getKey(), property.getValue().keywords());
          if (before != null && !before.equals(property.getValue().keywords())) {
            return null;
          }
        }
        both.put(keyword, all);
      } else if (!Objects.equals(get(keyword), entry.getValue())) {
        return null;
      }
    }
    return new Schema(other.path(), both);
  }
}
