// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.loader;

import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.OptionalInt;
import java.util.stream.IntStream;

/** The ChatML prompt of one question with its images, as token ids (spec 3.2). */
public final class ChatPrompt {
  /** Stands for an image in the token ids; the model puts that image's rows there. */
  public static final int IMAGE = -200;

  /** Where in a question an image belongs; in the official form it is text, never a token. */
  public static final String PLACEHOLDER = "<image>";

  private static final String IMAGE_PAD = "<|image_pad|>";
  private static final String VISION = "<|vision_start|>" + IMAGE_PAD + "<|vision_end|>";

  private ChatPrompt() {}

  /**
   * @param systemOrNull another system text than the form's own, or null
   * @param question may hold {@code <image>} placeholders, then one for each image; without them the images come first
   * @param images how many, 0 for text only
   * @return token ids, {@link #IMAGE} once for each image
   * @throws BadInputException if placeholders and images differ in number, or the tokenizer lacks a token of the form
   */
  public static int[] tokens(Tokenizer t, PromptForm form, String systemOrNull, String question, int images) {
    if (images < 0) {
      throw new IllegalArgumentException("images: " + images);
    }
    String system = systemOrNull != null ? systemOrNull : form.systemText();
    String user = question.contains(PLACEHOLDER) ? question : imagesFirst(form, images) + question;
    String prompt = "<|im_start|>system\n" + system + "<|im_end|>\n<|im_start|>user\n" + user
        + "<|im_end|>\n<|im_start|>assistant\n";
    int[] ids = form == PromptForm.OFFICIAL ? official(t, prompt) : qwenVl(t, prompt);
    long placeholders = IntStream.of(ids).filter(id -> id == IMAGE).count();
    if (placeholders != images) {
      throw new BadInputException(
          "prompt: " + PLACEHOLDER + ": " + placeholders + " in the text, but " + images + " image(s) given");
    }
    return ids;
  }

  private static String imagesFirst(PromptForm form, int images) {
    if (images == 0) {
      return "";
    }
    // the base model's template joins images and question without anything between
    return form == PromptForm.OFFICIAL
        ? String.join(" ", Collections.nCopies(images, PLACEHOLDER)) + "\n"
        : PLACEHOLDER.repeat(images);
  }

  /** Each stretch between placeholders is tokenised alone, so no token spans an image. */
  private static int[] official(Tokenizer t, String prompt) {
    IntStream.Builder ids = IntStream.builder();
    List<String> chunks = chunks(prompt);
    for (int i = 0; i < chunks.size(); i++) {
      if (i > 0) {
        ids.accept(IMAGE);
      }
      IntStream.of(t.encode(chunks.get(i))).forEach(ids);
    }
    return ids.build().toArray();
  }

  private static int[] qwenVl(Tokenizer t, String prompt) {
    OptionalInt pad = t.addedTokenId(IMAGE_PAD);
    if (pad.isEmpty()) {
      throw new BadInputException(
          "prompt: " + IMAGE_PAD + ": the tokenizer has no such token, so only the official form can be used");
    }
    int[] ids = t.encode(prompt.replace(PLACEHOLDER, VISION));
    return IntStream.of(ids).map(id -> id == pad.getAsInt() ? IMAGE : id).toArray();
  }

  private static List<String> chunks(String prompt) {
    List<String> chunks = new ArrayList<>();
    int start = 0;
    for (int at = prompt.indexOf(PLACEHOLDER); at >= 0; at = prompt.indexOf(PLACEHOLDER, start)) {
      chunks.add(prompt.substring(start, at));
      start = at + PLACEHOLDER.length();
    }
    chunks.add(prompt.substring(start));
    return chunks;
  }
}
