// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.model.constraint;

import java.util.Arrays;

/**
 * The states behind a state, as those words of a {@link StateSet} that are not 0. States that count characters have hundreds of followers
 * in a few words, and sets of them are united word by word.
 *
 * @param words indices, ascending
 * @param bits of each word
 */
record Followers(int[] words, long[] bits) {
  /** @param states ascending, none twice */
  static Followers of(int[] states) {
    int[] words = Arrays.stream(states).map(q -> q >>> 6).distinct().toArray();
    long[] bits = new long[words.length];
    int at = 0;
    for (int state : states) {
      at += state >>> 6 == words[at] ? 0 : 1;
      bits[at] |= 1L << state;
    }
    return new Followers(words, bits);
  }

  /** Bytes that it takes, roughly. */
  long memory() {
    return 12L * words.length + 56;
  }
}
