// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.eval;

import dev.diffusionvl.loader.ChatPrompt;
import dev.diffusionvl.loader.ChatPrompt.Turn;
import dev.diffusionvl.loader.PromptForm;
import dev.diffusionvl.model.Request;
import java.util.List;

/**
 * A question whose right answer is recorded.
 *
 * @param id no other question of the set has it
 * @param turns before the answer, the user's last one included
 * @param pictures in the order of their placeholders; without any placeholder in the turns they come first
 * @param golds right answers, at least one
 * @param category of the question, or null
 * @param questionId what the two questions on an image have in common, or null; MME alone has it
 * @param options texts of the choices A, B, C …, empty where there are none
 */
public record Question(String id, List<Turn> turns, List<Picture> pictures, List<String> golds, String category, String questionId,
    List<String> options) {
  public Question {
    turns = List.copyOf(turns);
    pictures = List.copyOf(pictures);
    golds = List.copyOf(golds);
    options = List.copyOf(options);
  }

  /** A question in one turn. */
  static Question of(String id, String prompt, List<Picture> pictures, List<String> golds, List<String> options) {
    return new Question(id, List.of(new Turn(true, prompt)), pictures, golds, null, null, options);
  }

  Question withId(String other) {
    return new Question(other, turns, pictures, golds, category, questionId, options);
  }

  /** For lists of many, which would hold all images in memory. */
  Question withoutPictures() {
    return new Question(id, turns, List.of(), golds, category, questionId, options);
  }

  /**
   * What the model is asked. Reads the images.
   *
   * @param form of the model; in that of Qwen2.5-VL a place of an image that ends its line has no line of its own
   * @throws dev.diffusionvl.loader.BadInputException naming the image that cannot be used
   */
  public Request request(PromptForm form) {
    List<Turn> placed = form == PromptForm.OFFICIAL ? turns : turns.stream()
        .map(turn -> new Turn(turn.user(), turn.text().replace(ChatPrompt.PLACEHOLDER + "\n", ChatPrompt.PLACEHOLDER))).toList();
    return new Request(placed, pictures.stream().map(Picture::read).toList(), null, form);
  }

  /** The user's last turn. */
  public String prompt() {
    return turns.getLast().text();
  }

  /** With what a model said. */
  public Answer answer(String text) {
    return new Answer(id, text, golds, category, questionId, options);
  }
}
