// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.server;

import com.fasterxml.jackson.databind.JsonNode;
import java.util.HashSet;
import java.util.Iterator;
import java.util.List;
import java.util.Set;

/**
 * An object of a request. A field that is null counts as absent. Fields that were looked at are remembered, so that the others can be
 * refused. Errors name the field by its path.
 */
final class Fields {
  private final String path;
  private final JsonNode object;
  private final Set<String> known = new HashSet<>();

  /** @param path of the object, "" for the request itself */
  Fields(String path, JsonNode object) {
    this.path = path;
    this.object = object;
    if (object == null || !object.isObject()) {
      throw ApiError.invalid(path.isEmpty() ? null : path, (path.isEmpty() ? "the body" : path) + " must be a JSON object");
    }
  }

  String path(String name) {
    return path.isEmpty() ? name : path + "." + name;
  }

  /** The field's value, or null. */
  JsonNode get(String name) {
    known.add(name);
    JsonNode value = object.get(name);
    return value == null || value.isNull() ? null : value;
  }

  /** Fields that may be there and change nothing here. */
  void ignore(String... names) {
    known.addAll(List.of(names));
  }

  void refuseTheRest() {
    for (Iterator<String> names = object.fieldNames(); names.hasNext(); ) {
      String name = names.next();
      if (!known.contains(name)) {
        throw invalid(name, "is not a field that this server knows");
      }
    }
  }

  ApiError invalid(String name, String problem) {
    return ApiError.invalid(path(name), path(name) + ": " + problem);
  }

  /** Refuses what these fields ask for; an empty array or object asks for nothing. */
  void refuseUnlessEmpty(String... names) {
    for (String name : names) {
      JsonNode value = get(name);
      if (value != null && !(value.isContainerNode() && value.isEmpty())) {
        throw invalid(name, "is not supported");
      }
    }
  }

  String text(String name) {
    JsonNode value = get(name);
    if (value == null) {
      return null;
    }
    if (!value.isTextual()) {
      throw invalid(name, "must be a string");
    }
    return value.textValue();
  }

  /** One of some words, or null. */
  String word(String name, List<String> words) {
    String word = text(name);
    if (word != null && !words.contains(word)) {
      throw invalid(name, "must be one of " + String.join(", ", words));
    }
    return word;
  }

  boolean flag(String name) {
    JsonNode value = get(name);
    if (value != null && !value.isBoolean()) {
      throw invalid(name, "must be true or false");
    }
    return value != null && value.booleanValue();
  }

  /** An integer, or null. */
  Long integer(String name, long min, long max) {
    JsonNode value = get(name);
    if (value == null) {
      return null;
    }
    if (!value.isIntegralNumber() || !value.canConvertToLong() || value.longValue() < min || value.longValue() > max) {
      throw invalid(name, "must be an integer from " + min + " to " + max);
    }
    return value.longValue();
  }

  /** A number, or null. */
  Double number(String name, double min, double max) {
    JsonNode value = get(name);
    if (value == null) {
      return null;
    }
    double number = value.isNumber() ? value.doubleValue() : Double.NaN;
    if (!(number >= min && number <= max)) {
      throw invalid(name, "must be a number from " + plain(min) + " to " + plain(max));
    }
    return number;
  }

  private static String plain(double value) {
    return value == Math.rint(value) ? Long.toString((long) value) : Double.toString(value);
  }

  /** An object, or null. */
  Fields object(String name) {
    JsonNode value = get(name);
    return value == null ? null : new Fields(path(name), value);
  }

  /** An array, or null. */
  JsonNode array(String name) {
    JsonNode value = get(name);
    if (value != null && !value.isArray()) {
      throw invalid(name, "must be an array");
    }
    return value;
  }
}
