// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.loader;

/** How a question and its images become the text the model was trained on. */
public enum PromptForm {
  /** DiffusionVL's training form (spec 3.2): {@code <image>} placeholders on a line before the question. */
  OFFICIAL("You are Qwen, created by Alibaba Cloud. You are a helpful assistant."),

  /** The form of the base model Qwen2.5-VL: {@code <|vision_start|><|image_pad|><|vision_end|>} before the question. */
  QWEN_VL("You are a helpful assistant.");

  private final String systemText;

  PromptForm(String systemText) {
    this.systemText = systemText;
  }

  /** The system text of a prompt that gives none of its own. */
  public String systemText() {
    return systemText;
  }
}
