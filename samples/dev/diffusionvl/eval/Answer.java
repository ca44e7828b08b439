// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.eval;

import java.util.List;

/**
 * An answer to be scored.
 *
 * @param id of the sample
 * @param text what the model said
 * @param golds right answers, at least one; most tasks have one
 * @param category of the sample, or null
 * @param questionId what the two questions on an image have in common, or null; MME alone has it
 * @param options texts of the choices A, B, C …, empty where they are not known
 */
public record Answer(String id, String text, List<String> golds, String category, String questionId, List<String> options) {
  /** The first right answer. */
  public String gold() {
    return golds.getFirst();
  }

  /** As the authors' evaluation has it: up to the first end-of-turn token or newline, stripped, without one full stop at the end. */
  Answer cleaned() {
    String clean = text;
    for (String end : new String[] {"<|im_end|>", "\n"}) {
      int at = clean.indexOf(end);
      clean = at < 0 ? clean : clean.substring(0, at);
    }
    clean = clean.strip();
    clean = clean.endsWith(".") ? clean.substring(0, clean.length() - 1) : clean;
    return new Answer(id, clean, golds, category, questionId, options);
  }
}
