// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.model;

/** A prompt, or prompt and answer together, does not fit the checkpoint's limits; the message names both numbers. */
public final class PromptLimitException extends RuntimeException {
  public PromptLimitException(String message) {
    super(message);
  }
}
