// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.bench;

import dev.diffusionvl.loader.ChatPrompt;
import dev.diffusionvl.loader.PromptForm;
import dev.diffusionvl.loader.RgbImage;
import dev.diffusionvl.loader.Tokenizer;
import dev.diffusionvl.loader.VisionConfig;
import dev.diffusionvl.model.Request;
import java.util.List;
import java.util.Random;

/** A prompt of a wished length: a noisy image of 324 embeddings at most, and as many words as are missing. */
final class BenchPrompt {
  private static final int MOST_UNITS = 18; // 504 pixels a side: the image of the reference's example

  private BenchPrompt() {}

  /** The longest such request that is not longer than {@code length} embeddings, or the shortest there is. */
  static Request of(Tokenizer tokenizer, VisionConfig vision, int length) {
    int template = ChatPrompt.tokens(tokenizer, PromptForm.OFFICIAL, null, "a", 1).length - 1;
    int units = (int) Math.clamp(Math.sqrt(Math.max(1, length - template)), 2, MOST_UNITS);
    int pixels = units * vision.patchSize() * vision.spatialMergeSize();
    byte[] rgb = new byte[3 * pixels * pixels];
    new Random(1).nextBytes(rgb);
    int words = length - template - units * units;
    String text = text(words);
    while (words > 0 && ChatPrompt.tokens(tokenizer, PromptForm.OFFICIAL, null, text, 1).length - 1 + units * units > length) {
      text = text(--words);
    }
    return new Request(text, List.of(new RgbImage(pixels, pixels, rgb)), null, PromptForm.OFFICIAL);
  }

  private static String text(int words) {
    return "a" + " a".repeat(Math.max(0, words));
  }
}
