// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.runtime.op;

import dev.diffusionvl.runtime.DeviceBuffer;
import java.util.Arrays;

/**
 * A table of blocks on the device, as {@link Remask} and {@link Sample} take it; {@link BlockTable} keeps one. The table's words are those
 * of {@code cuda/include/block_table.cuh}.
 *
 * @param table I32 [slots, {@link #words(int, int)}]
 * @param rows of a block
 * @param variants most variants of a block: itself and its drafts
 */
public record Blocks(DeviceBuffer table, int slots, int rows, int variants) {
  /** I32 words of a task: slot, first row of its predictions, variants (0: the task does nothing), 0. */
  public static final int TASK_FIELDS = 4;

  static final int HEAD = 20; // words of struct BlockSlot
  static final int STEP = 0;
  static final int MASKED = 1;
  static final int NAN = 2;
  static final int FORWARDS = 3;
  static final int OPEN_DRAFTS = 4;

  /** I32 words of a slot. */
  public static int words(int rows, int variants) {
    return Math.toIntExact(HEAD + (3L + variants) * rows);
  }

  int stride() {
    return words(rows, variants);
  }

  /** The first words of a slot whose sequence begins. */
  static int[] head(Remask.Rule rule, Sample.Rule sampling) {
    return new int[] {0, 0, 0, 0, 0, rule.drafts(), rule.dynamic() ? 1 : 0, Float.floatToRawIntBits(rule.threshold()),
        rule.positions() / rule.steps(), rule.positions() % rule.steps(), rule.steps(), sampling.excluded(),
        Float.floatToRawIntBits(sampling.temperature()), sampling.topK(), Float.floatToRawIntBits(sampling.topP()), (int) sampling.seed(),
        (int) (sampling.seed() >>> 32), sampling.given() ? 1 : 0, 0, 0};
  }

  /** All words of a slot without drafts whose first block begins: every row holds the mask. */
  public static int[] masked(int rows, Remask.Rule rule, Sample.Rule sampling, int maskId) {
    int[] words = Arrays.copyOf(head(rule, sampling), words(rows, 1));
    words[MASKED] = rows;
    Arrays.fill(words, HEAD, HEAD + rows, -1);
    Arrays.fill(words, HEAD + 3 * rows, words.length, maskId);
    return words;
  }
}
