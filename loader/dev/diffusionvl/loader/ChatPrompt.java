// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.loader;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.List;
import java.util.stream.IntStream;

/**
 * Builds prompts in ChatML. Texts go in as they are: special tokens spelt in them become special tokens, and {@code
 * <image>} in them is the place of an image, as in the reference.
 */
public final class ChatPrompt {
  /** Stands in the ids for one image; its rows take the place. */
  public static final int IMAGE = -200;

  /** Stands in a text for one image. */
  public static final String PLACEHOLDER = "<image>";

  private static final String PAD = "<|image_pad|>";
  private static final String VISION = "<|vision_start|>" + PAD + "<|vision_end|>";

  /** One message of a conversation; turns alternate between user and assistant, the user first. */
  public record Turn(boolean user, String text) {}

  private ChatPrompt() {}

  /**
   * Ids of a one-question prompt, up to and including the header of the answer.
   *
   * @param systemOrNull null for the form's own system text
   * @param question may say with {@code <image>} where images stand; otherwise they come first
   * @param images number of images
   * @return ids with {@link #IMAGE} for each image
   * @throws BadInputException if the placeholders and the images do not match in number
   */
  public static int[] tokens(Tokenizer tokenizer, PromptForm form, String systemOrNull, String question, int images) {
    return tokens(tokenizer, form, systemOrNull, List.of(new Turn(true, question)), images);
  }

  /**
   * Ids of a conversation that ends with a user's turn. Without any placeholder in it all images come before the first
   * turn's text.
   *
   * @throws BadInputException as above, or if the turns do not alternate or do not end with the user's
   */
  public static int[] tokens(Tokenizer tokenizer, PromptForm form, String systemOrNull, List<Turn> turns, int images) {
    String text = text(form, systemOrNull, turns, images);
    return form == PromptForm.OFFICIAL ? officialTokens(tokenizer, text) : qwenTokens(tokenizer, text, images);
  }

  /** The prompt as text, with the form's own placeholders. */
  public static String text(PromptForm form, String systemOrNull, List<Turn> turns, int images) {
    requireAlternating(turns);
    String system = systemOrNull == null ? form.systemText() : systemOrNull;
    int placeholders = count(form, system);
    for (Turn turn : turns) {
      placeholders += count(form, turn.text());
    }
    List<Turn> placed = turns;
    if (placeholders == 0 && images > 0) {
      placed = new ArrayList<>(turns);
      placed.set(0, new Turn(true, leadingImages(form, images) + turns.getFirst().text()));
    } else if (placeholders != images) {
      throw new BadInputException(
          "prompt: image placeholders: " + placeholders + " in the text, but " + images + " images given");
    }
    StringBuilder text = new StringBuilder();
    message(text, "system", system);
    for (Turn turn : placed) {
      message(text, turn.user() ? "user" : "assistant", turn.text());
    }
    text.append("<|im_start|>assistant\n");
    return form == PromptForm.OFFICIAL ? text.toString() : text.toString().replace(PLACEHOLDER, VISION);
  }

  private static void requireAlternating(List<Turn> turns) {
    for (int i = 0; i < turns.size(); i++) {
      if (turns.get(i).user() != (i % 2 == 0)) {
        String role = i % 2 == 0 ? "user's" : "assistant's";
        throw new BadInputException("prompt: turn " + (i + 1) + " should be the " + role);
      }
    }
    if (turns.size() % 2 == 0) {
      throw new BadInputException("prompt: the last turn must be the user's");
    }
  }

  private static void message(StringBuilder text, String role, String content) {
    text.append("<|im_start|>").append(role).append('\n').append(content).append("<|im_end|>\n");
  }

  /** How images that come before a text are written. */
  public static String leadingImages(PromptForm form, int images) {
    return form == PromptForm.OFFICIAL
        ? String.join(" ", Collections.nCopies(images, PLACEHOLDER)) + "\n"
        : PLACEHOLDER.repeat(images);
  }

  private static int count(PromptForm form, String text) {
    int count = placeholders(text);
    return form == PromptForm.OFFICIAL ? count : count + occurrences(text, PAD);
  }

  /** How often {@code <image>} stands in a text. */
  public static int placeholders(String text) {
    return occurrences(text, PLACEHOLDER);
  }

  private static int occurrences(String text, String part) {
    int count = 0;
    for (int i = text.indexOf(part); i >= 0; i = text.indexOf(part, i + part.length())) {
      count++;
    }
    return count;
  }

  /** What stands before, between and behind the placeholders of a text, one piece more than there are placeholders. */
  public static List<String> chunks(String text) {
    List<String> chunks = new ArrayList<>();
    int start = 0;
    for (int at = text.indexOf(PLACEHOLDER); at >= 0; at = text.indexOf(PLACEHOLDER, start)) {
      chunks.add(text.substring(start, at));
      start = at + PLACEHOLDER.length();
    }
    chunks.add(text.substring(start));
    return chunks;
  }

  /** The chunks between placeholders are tokenized apart from each other. */
  private static int[] officialTokens(Tokenizer tokenizer, String text) {
    IntStream.Builder ids = IntStream.builder();
    List<String> chunks = chunks(text);
    for (int i = 0; i < chunks.size(); i++) {
      if (i > 0) {
        ids.add(IMAGE);
      }
      Arrays.stream(tokenizer.encode(chunks.get(i))).forEach(ids);
    }
    return ids.build().toArray();
  }

  private static int[] qwenTokens(Tokenizer tokenizer, String text, int images) {
    int[] ids = tokenizer.encode(text);
    if (images > 0) {
      int pad = tokenizer.addedTokenId(PAD)
          .orElseThrow(() -> new BadInputException("prompt: no " + PAD + " in the tokenizer for the qwen-vl form"));
      for (int i = 0; i < ids.length; i++) {
        ids[i] = ids[i] == pad ? IMAGE : ids[i];
      }
    }
    return ids;
  }
}
