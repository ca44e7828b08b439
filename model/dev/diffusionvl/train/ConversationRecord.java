// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.train;

import dev.diffusionvl.loader.BadInputException;
import dev.diffusionvl.loader.ChatPrompt;
import dev.diffusionvl.loader.ChatPrompt.Turn;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;

/**
 * One conversation in the LLaVA format, its form checked:
 * <code>{"id": "7", "image": "a.png", "conversations": [{"from": "human", "value": "&lt;image&gt;\nWhat is it?"},
 * {"from": "gpt", "value": "A cat."}]}</code>. Fields of other names are ignored, but for {@code video}: what is said of a video cannot be
 * learnt without it.
 *
 * @param id its {@code id}, a text or a number; "record 12" for the twelfth record of a file, where it has none
 * @param images file names relative to the images' folder, in the order of their placeholders; none where {@code image} is absent, null or
 *     an empty list
 * @param turns of user (human) and assistant (gpt) alternately, none of them blank, beginning with the user's and ending with the
 *     assistant's, with one {@code <image>} placeholder per image in all
 */
public record ConversationRecord(String id, List<String> images, List<Turn> turns) {
  public ConversationRecord {
    images = List.copyOf(images);
    turns = List.copyOf(turns);
  }

  /**
   * Reads a record.
   *
   * @param json as {@link dev.diffusionvl.loader.Json#tree} gives it
   * @param nameWithoutId its id if it has none
   * @throws BadInputException naming the field and what is wrong with it, if it is no such record
   */
  public static ConversationRecord of(Object json, String nameWithoutId) {
    if (!(json instanceof Map<?, ?> fields)) {
      throw new BadInputException("expected an object, found " + describe(json));
    }
    if (fields.get("video") != null) {
      throw new BadInputException("video: is not supported, images are");
    }
    ConversationRecord record = new ConversationRecord(id(fields.get("id"), nameWithoutId), images(fields.get("image")), turns(fields));
    long placeholders = record.turns.stream().mapToLong(turn -> ChatPrompt.placeholders(turn.text())).sum();
    if (placeholders != record.images.size()) {
      throw new BadInputException("conversations: " + placeholders + " placeholders <image>, but " + record.images.size() + " images");
    }
    return record;
  }

  private static String id(Object id, String absent) {
    return switch (id) {
      case null -> absent;
      case String text -> text;
      case Number number -> number.toString();
      default -> throw new BadInputException("id: expected a text or a number, found " + describe(id));
    };
  }

  private static List<String> images(Object image) {
    if (image == null) {
      return List.of();
    }
    if (!(image instanceof List<?> list)) {
      return List.of(text("image", image));
    }
    List<String> names = new ArrayList<>();
    for (Object name : list) {
      names.add(text("image[" + names.size() + "]", name));
    }
    return names;
  }

  private static List<Turn> turns(Map<?, ?> record) {
    Object conversations = required(record, "conversations", "conversations");
    if (!(conversations instanceof List<?> list)) {
      throw new BadInputException("conversations: expected a list, found " + describe(conversations));
    }
    List<Turn> turns = new ArrayList<>();
    for (Object turn : list) {
      turns.add(turn("conversations[" + turns.size() + "]", turn, turns.size() % 2 == 0));
    }
    if (turns.isEmpty()) {
      throw new BadInputException("conversations: is empty");
    }
    if (turns.size() % 2 != 0) {
      throw new BadInputException("conversations: ends with the human's turn, so that the last answer is missing");
    }
    return turns;
  }

  private static Turn turn(String field, Object json, boolean user) {
    if (!(json instanceof Map<?, ?> turn)) {
      throw new BadInputException(field + ": expected an object, found " + describe(json));
    }
    String from = text(field + ".from", required(turn, "from", field + ".from"));
    if (!from.equals("human") && !from.equals("gpt")) {
      throw new BadInputException(field + ".from: '" + from + "' is neither human nor gpt");
    }
    if (from.equals("human") != user) {
      throw new BadInputException(field + ".from: is " + from + "; the turns must alternate, the human's first");
    }
    String text = text(field + ".value", required(turn, "value", field + ".value"));
    if (text.isBlank()) {
      throw new BadInputException(field + ".value: is empty");
    }
    return new Turn(user, text);
  }

  /** The value under a name; null is a value too. */
  private static Object required(Map<?, ?> object, String name, String field) {
    if (!object.containsKey(name)) {
      throw new BadInputException(field + ": missing");
    }
    return object.get(name);
  }

  private static String text(String field, Object value) {
    if (!(value instanceof String text)) {
      throw new BadInputException(field + ": expected a text, found " + describe(value));
    }
    return text;
  }

  private static String describe(Object value) {
    return switch (value) {
      case null -> "null";
      case Map<?, ?> object -> "an object";
      case List<?> list -> "a list";
      case String text -> "a text";
      case Number number -> "a number";
      case Boolean flag -> "a boolean";
      default -> throw new IllegalArgumentException(value.getClass() + " is no JSON value");
    };
  }
}
