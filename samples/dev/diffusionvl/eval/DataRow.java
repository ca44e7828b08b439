// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.eval;

import dev.diffusionvl.loader.BadInputException;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;

/**
 * A row of a data set.
 *
 * @param where how messages call it
 * @param number among all rows of the data set, from 0
 * @param fields a text, a number, a {@link Picture} or a list of these by the column's name; null where there is nothing
 */
record DataRow(String where, long number, Map<String, Object> fields) {
  /** Something must be there. */
  String text(String name) {
    String text = optional(name);
    if (text == null) {
      throw missing(name);
    }
    return text;
  }

  /** Null where nothing is there. */
  String optional(String name) {
    return switch (fields.get(name)) {
      case null -> null;
      case String text -> text.isEmpty() ? null : text;
      case Number number -> number.toString();
      case Boolean truth -> truth.toString();
      default -> throw unusable(name, "expected a text");
    };
  }

  /** A list of texts, or one spelt as Python does it; empty where nothing is there. */
  List<String> texts(String name) {
    Object value = fields.get(name);
    if (!(value instanceof List<?> list)) {
      String text = optional(name);
      return text == null ? List.of() : list(name, text);
    }
    List<String> texts = new ArrayList<>();
    for (Object one : list) {
      if (!(one instanceof String || one instanceof Number)) {
        throw unusable(name, "expected a list of texts");
      }
      texts.add(one.toString());
    }
    return texts;
  }

  private List<String> list(String name, String text) {
    try {
      return PythonList.parse(text);
    } catch (IllegalArgumentException e) {
      throw unusable(name, "expected a list of texts: " + e.getMessage());
    }
  }

  Picture picture(String name) {
    return switch (fields.get(name)) {
      case null -> throw missing(name);
      case Picture picture -> picture;
      default -> throw unusable(name, "expected an image");
    };
  }

  /** An image or a list of images; empty where nothing is there. */
  List<Picture> pictures(String name) {
    Object value = fields.get(name);
    if (value == null) {
      return List.of();
    }
    List<Picture> pictures = new ArrayList<>();
    for (Object one : value instanceof List<?> list ? list : List.of(value)) {
      if (!(one instanceof Picture picture)) {
        throw unusable(name, "expected a list of images");
      }
      pictures.add(picture);
    }
    return pictures;
  }

  boolean isList(String name) {
    return fields.get(name) instanceof List;
  }

  /** Of a row whose data set gives it none. */
  String id() {
    return Long.toString(number);
  }

  /** What stands in a column, else the row's number. */
  String id(String name) {
    String id = optional(name);
    return id == null ? id() : id;
  }

  BadInputException missing(String name) {
    return unusable(name, "missing");
  }

  BadInputException unusable(String name, String problem) {
    return new BadInputException(where + ": " + name + ": " + problem);
  }
}
