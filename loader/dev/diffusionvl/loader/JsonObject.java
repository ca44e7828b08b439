// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.loader;

import java.nio.file.Path;
import java.util.List;
import java.util.Map;

/**
 * A parsed JSON object whose typed reads complain with the file and the full field name. A null value counts as absent.
 */
final class JsonObject {
  private final Path file;
  private final String prefix;
  private final Map<String, Object> fields;

  /**
   * @param prefix what to put before field names in errors, e.g. {@code "text_config."}
   * @param fields null if the value was not an object
   */
  JsonObject(Path file, String prefix, Map<String, Object> fields) {
    if (fields == null) {
      throw BadInputException.of(file, "expected a JSON object");
    }
    this.file = file;
    this.prefix = prefix;
    this.fields = fields;
  }

  Path file() {
    return file;
  }

  boolean has(String name) {
    return fields.get(name) != null;
  }

  BadInputException error(String name, String problem) {
    return BadInputException.of(file, prefix + name, problem);
  }

  /** The object under a name, or null if absent. */
  @SuppressWarnings("unchecked") // Json builds maps with string keys only
  JsonObject object(String name) {
    return switch (fields.get(name)) {
      case null -> null;
      case Map<?, ?> map -> new JsonObject(file, prefix + name + ".", (Map<String, Object>) map);
      default -> throw error(name, "expected an object");
    };
  }

  boolean isList(String name) {
    return fields.get(name) instanceof List;
  }

  List<?> list(String name) {
    return switch (fields.get(name)) {
      case null -> null;
      case List<?> list -> list;
      default -> throw error(name, "expected an array");
    };
  }

  String string(String name, String absent) {
    return switch (fields.get(name)) {
      case null -> absent;
      case String s -> s;
      default -> throw error(name, "expected a string");
    };
  }

  boolean bool(String name, boolean absent) {
    return switch (fields.get(name)) {
      case null -> absent;
      case Boolean b -> b;
      default -> throw error(name, "expected true or false");
    };
  }

  /** An integer within bounds (both inclusive). */
  long integer(String name, long min, long max) {
    Object value = fields.get(name);
    if (value == null) {
      throw error(name, "missing");
    }
    return integer(name, value, min, max);
  }

  long integer(String name, Object value, long min, long max) {
    long n;
    if (value instanceof Long i) {
      n = i;
    } else if (value instanceof Double d && d == Math.rint(d) && Math.abs(d) < 1L << 53) {
      n = d.longValue();
    } else {
      throw error(name, "expected an integer, found " + value);
    }
    if (n < min || n > max) {
      throw error(name, n + " is out of range " + min + ".." + max);
    }
    return n;
  }

  /** A number strictly above {@code min} and strictly below {@code max}. */
  double number(String name, double min, double max) {
    return switch (fields.get(name)) {
      case null -> throw error(name, "missing");
      case Number n when n.doubleValue() > min && n.doubleValue() < max -> n.doubleValue();
      case Number n -> throw error(name, n + " is out of range (" + min + ", " + max + ")");
      default -> throw error(name, "expected a number");
    };
  }

  /** Refuses another value than what is computed here; absent is no other. */
  void requireComputed(String name, Object... computed) {
    Object value = fields.get(name);
    if (value != null && !List.of(computed).contains(value instanceof Long n ? (Object) n.doubleValue() : value)) {
      throw error(name, value + " is not supported, only " + computed[0] + " is");
    }
  }

  Map<String, Object> fields() {
    return fields;
  }
}
