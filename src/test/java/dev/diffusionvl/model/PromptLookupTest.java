// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.model;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;

import java.util.Arrays;
import org.junit.jupiter.api.Test;

/** How a text is guessed to go on. */
class PromptLookupTest {
  private static void check(int[] expected, int most, int... ids) {
    int[] longer = Arrays.copyOf(ids, ids.length + 4); // what stands behind is not written yet
    assertArrayEquals(expected, PromptLookup.drafts(longer, ids.length, most));
  }

  private static int[] guess(int... ids) {
    return ids;
  }

  @Test
  void asItDidTheLastTime() {
    check(guess(8, 9, 1), 3, 1, 2, 3, 8, 9, 1, 2, 3);
    check(guess(8), 1, 1, 2, 3, 8, 9, 1, 2, 3);
    check(guess(7, 1, 2, 3), 7, 1, 2, 3, 8, 1, 2, 3, 7, 1, 2, 3);
  }

  @Test
  void threeAlikeCountMoreThanALaterOne() {
    check(guess(8, 4, 3), 3, 1, 2, 3, 8, 4, 3, 9, 1, 2, 3);
    check(guess(9, 5, 3), 5, 2, 3, 8, 4, 3, 9, 5, 3);
  }

  @Test
  void nothingIsLikeAnImageOrTheNew() {
    check(guess(), 5, 1, 2, 3);
    check(guess(), 5, 7);
    check(guess(), 0, 1, 2, 1, 2);
    check(guess(4), 5, 3, 4, -1, 3);
    check(guess(), 5, 4, -1, 5, -1);
    check(guess(), 5, 3, -1, 3);
  }
}
