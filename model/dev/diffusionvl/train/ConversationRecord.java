// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.train;

import com.fasterxml.jackson.databind.JsonNode;
import dev.diffusionvl.loader.BadInputException;
import dev.diffusionvl.loader.ChatPrompt;
import dev.diffusionvl.loader.ChatPrompt.Turn;
import java.util.ArrayList;
import java.util.List;

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
   * @param nameWithoutId its id if it has none
   * @throws BadInputException naming the field and what is wrong with it, if it is no such record
   */
  public static ConversationRecord of(JsonNode json, String nameWithoutId) {
    if (!json.isObject()) {
      throw new BadInputException("expected an object, found " + describe(json));
    }
    if (json.hasNonNull("video")) {
      throw new BadInputException("video: is not supported, images are");
    }
    ConversationRecord record = new ConversationRecord(id(json, nameWithoutId), images(json), turns(json));
    long placeholders = record.turns.stream().mapToLong(turn -> ChatPrompt.placeholders(turn.text())).sum();
    if (placeholders != record.images.size()) {
      throw new BadInputException("conversations: " + placeholders + " placeholders <image>, but " + record.images.size() + " images");
    }
    return record;
  }

  private static String id(JsonNode json, String absent) {
    JsonNode id = json.path("id");
    if (id.isMissingNode() || id.isNull()) {
      return absent;
    }
    if (!id.isTextual() && !id.isNumber()) {
      throw new BadInputException("id: expected a text or a number, found " + describe(id));
    }
    return id.asText();
  }

  private static List<String> images(JsonNode json) {
    JsonNode image = json.path("image");
    if (image.isMissingNode() || image.isNull()) {
      return List.of();
    }
    if (!image.isArray()) {
      return List.of(text("image", image));
    }
    List<String> names = new ArrayList<>();
    for (JsonNode name : image) {
      names.add(text("image[" + names.size() + "]", name));
    }
    return names;
  }

  private static List<Turn> turns(JsonNode json) {
    JsonNode conversations = json.path("conversations");
    if (!conversations.isArray()) {
      throw new BadInputException("conversations: " + (conversations.isMissingNode() ? "missing"
          : "expected a list, found " + describe(conversations)));
    }
    List<Turn> turns = new ArrayList<>();
    for (JsonNode turn : conversations) {
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

  private static Turn turn(String field, JsonNode turn, boolean user) {
    if (!turn.isObject()) {
      throw new BadInputException(field + ": expected an object, found " + describe(turn));
    }
    String from = text(field + ".from", turn.path("from"));
    if (!from.equals("human") && !from.equals("gpt")) {
      throw new BadInputException(field + ".from: '" + from + "' is neither human nor gpt");
    }
    if (from.equals("human") != user) {
      throw new BadInputException(field + ".from: is " + from + "; the turns must alternate, the human's first");
    }
    String text = text(field + ".value", turn.path("value"));
    if (text.isBlank()) {
      throw new BadInputException(field + ".value: is empty");
    }
    return new Turn(user, text);
  }

  private static String text(String field, JsonNode value) {
    if (!value.isTextual()) {
      throw new BadInputException(field + ": " + (value.isMissingNode() ? "missing" : "expected a text, found " + describe(value)));
    }
    return value.textValue();
  }

  private static String describe(JsonNode value) {
    return switch (value.getNodeType()) {
      case OBJECT -> "an object";
      case ARRAY -> "a list";
      case STRING -> "a text";
      case NUMBER -> "a number";
      case BOOLEAN -> "a boolean";
      case NULL -> "null";
      default -> "something else";
    };
  }
}
