// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.model;

import dev.diffusionvl.loader.ChatPrompt;
import dev.diffusionvl.loader.ChatPrompt.Turn;
import dev.diffusionvl.loader.ImageGrid;
import dev.diffusionvl.loader.ModelConfig;
import dev.diffusionvl.loader.PromptForm;
import dev.diffusionvl.loader.RgbImage;
import dev.diffusionvl.loader.Tokenizer;
import java.util.ArrayList;
import java.util.List;

/**
 * A question, with the conversation that led to it. Immutable and safe for use by several threads, as long as nobody changes the
 * images' bytes.
 *
 * {@snippet class=dev.diffusionvl.model.ApiExamplesTest region=request}
 *
 * <p>Texts go in as they are, as in the reference: special tokens spelt in them become special tokens, and {@code <image>} is the
 * place of an image. Programs that pass on what strangers wrote should take both out.
 *
 * @param turns of user and assistant alternately, beginning and ending with the user's
 * @param images in order of their {@code <image>} placeholders; without any placeholder in the turns they come first
 * @param system system text, or null for the prompt form's own
 * @param form the official prompt form or the base model's
 */
public record Request(List<Turn> turns, List<RgbImage> images, String system, PromptForm form) {
  public Request {
    turns = List.copyOf(turns);
    images = List.copyOf(images);
    if (form == null) {
      throw new IllegalArgumentException("form is null");
    }
  }

  /**
   * One question.
   *
   * @param prompt may hold one {@code <image>} placeholder per image, else the images come first
   */
  public Request(String prompt, List<RgbImage> images, String system, PromptForm form) {
    this(List.of(new Turn(true, prompt)), images, system, form);
  }

  /**
   * Embeddings that the prompt takes, those of images included.
   *
   * @throws dev.diffusionvl.loader.BadInputException when the request makes no prompt or an image has an impossible shape
   */
  public int promptTokens(ModelConfig config, Tokenizer tokenizer) {
    int[] imageRows = VisionTower.imageRows(config, images);
    return PromptPlan.length(ChatPrompt.tokens(tokenizer, form, system, turns, imageRows.length), imageRows);
  }

  /** A question about some images in the official prompt form. */
  public static Request of(String prompt, RgbImage... images) {
    return new Request(prompt, List.of(images), null, PromptForm.OFFICIAL);
  }

  /** Builds a request piece by piece, in the official prompt form. */
  public static Builder builder() {
    return builder(PromptForm.OFFICIAL);
  }

  /** Builds a request piece by piece. */
  public static Builder builder(PromptForm form) {
    return new Builder(form);
  }

  /** Texts and images in the order in which they stand in the conversation. For one thread. */
  public static final class Builder {
    private final PromptForm form;
    private final List<Turn> turns = new ArrayList<>();
    private final List<RgbImage> images = new ArrayList<>();
    private final StringBuilder turn = new StringBuilder();
    private int leadingImages;
    private String system;

    private Builder(PromptForm form) {
      this.form = form;
    }

    /** The system text instead of the prompt form's own. */
    public Builder system(String text) {
      system = text;
      return this;
    }

    /** An image where the user's turn now stands. Images that begin a turn are set apart as the prompt form has it. */
    public Builder image(RgbImage image) {
      images.add(image);
      if (turn.isEmpty()) {
        leadingImages++;
      } else {
        turn.append(ChatPrompt.PLACEHOLDER);
      }
      return this;
    }

    /** {@link #grid(List, long)} with {@link ImageGrid#DEFAULT_PIXELS}; the model's own limit holds after that as for every image. */
    public Builder grid(List<RgbImage> several) {
      return grid(several, ImageGrid.DEFAULT_PIXELS);
    }

    /**
     * Two to nine images as the tiles of one picture, and a sentence that says where each is. For the released checkpoints, which were
     * trained on single images and answer little to several.
     *
     * @param maxPixels of the picture, {@code ModelConfig.maxPixels} for instance
     * @throws dev.diffusionvl.loader.BadInputException if there are fewer or more
     */
    public Builder grid(List<RgbImage> several, long maxPixels) {
      ImageGrid grid = ImageGrid.of(several, maxPixels);
      return image(grid.picture()).text(grid.layout() + " ");
    }

    /** Text that continues the user's turn. */
    public Builder text(String text) {
      turn.append(text);
      return this;
    }

    /** Ends the user's turn and adds what the assistant answered, a {@link GenerationResult#text} for instance. */
    public Builder assistant(String answer) {
      turns.add(userTurn());
      turns.add(new Turn(false, answer));
      turn.setLength(0);
      leadingImages = 0;
      return this;
    }

    /**
     * The request as it stands. The builder can go on with the {@link #assistant}'s answer and the next question.
     *
     * @throws IllegalStateException if the user's last turn has no text
     */
    public Request build() {
      List<Turn> all = new ArrayList<>(turns);
      all.add(userTurn());
      return new Request(all, images, system, form);
    }

    private Turn userTurn() {
      if (turn.isEmpty()) {
        throw new IllegalStateException("the user's turn has no text");
      }
      return new Turn(true, (leadingImages == 0 ? "" : ChatPrompt.leadingImages(form, leadingImages)) + turn);
    }
  }
}
