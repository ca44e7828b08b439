// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.loader;

/** How a question becomes a prompt. */
public enum PromptForm {
  /**
   * As in the official training and evaluation: {@code <image>} placeholders, text chunks tokenized apart (docs/model.md, "Prompt").
   */
  OFFICIAL("You are Qwen, created by Alibaba Cloud. You are a helpful assistant."),
  /** As the base model: {@code <|vision_start|><|image_pad|><|vision_end|>}, the pad standing for the image's rows. */
  QWEN_VL("You are a helpful assistant.");

  private final String systemText;

  PromptForm(String systemText) {
    this.systemText = systemText;
  }

  /** The form that a checkpoint was trained with: its own for a Qwen2.5-VL that is no diffusion model, else the official one. */
  public static PromptForm of(ModelConfig config) {
    return config.family() == ModelFamily.QWEN_VL && !config.diffusion() ? QWEN_VL : OFFICIAL;
  }

  /** The system text where the user gives none. */
  public String systemText() {
    return systemText;
  }
}
