// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.model;


import dev.diffusionvl.loader.PromptForm;
import dev.diffusionvl.loader.RgbImage;
import java.util.List;

/**
 * One question.
 *
 * @param prompt the user's text; may hold one {@code <image>} placeholder per image, else the images come first
 * @param images in order of appearance
 * @param system system text, or null for the prompt form's own
 * @param form the official prompt form or the base model's
 */
public record Request(String prompt, List<RgbImage> images, String system, PromptForm form) {
  public Request {
    images = List.copyOf(images);
  }

  /** A question about some images in the official prompt form. */
  public static Request of(String prompt, RgbImage... images) {
    return new Request(prompt, List.of(images), null, PromptForm.OFFICIAL);
  }
}
