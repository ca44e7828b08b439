// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.eval;

import dev.diffusionvl.loader.ChatPrompt;
import dev.diffusionvl.loader.ChatPrompt.Turn;
import dev.diffusionvl.loader.ImageFiles;
import dev.diffusionvl.loader.PromptForm;
import dev.diffusionvl.model.Request;
import java.nio.file.Path;
import java.util.List;

/**
 * A question whose right answer is recorded.
 *
 * @param folder that the images' names are relative to
 * @param images in the order of their placeholders
 * @param turns before the answer, the user's last one included
 * @param gold the recorded answer
 */
public record Question(String id, Path folder, List<String> images, List<Turn> turns, String gold) {
  public Question {
    images = List.copyOf(images);
    turns = List.copyOf(turns);
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
    return new Request(placed, images.stream().map(name -> ImageFiles.read(folder, name)).toList(), null, form);
  }

  /** The user's last turn. */
  public String prompt() {
    return turns.getLast().text();
  }
}
