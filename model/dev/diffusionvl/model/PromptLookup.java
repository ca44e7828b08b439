// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.model;

import java.util.Arrays;

/** Guesses how a text goes on: as it did the last time when the same tokens stood there. */
final class PromptLookup {
  private static final int LONGEST = 3; // tokens that have to be the same; fewer where there is no such place

  private PromptLookup() {}

  /**
   * @param ids of prompt and answer so far; negative for rows of images, which are like nothing
   * @param length of them
   * @param most guesses
   */
  static int[] drafts(int[] ids, int length, int most) {
    for (int same = Math.min(LONGEST, length - 1); same >= 1 && most > 0; same--) {
      for (int behind = length - 1; behind >= same; behind--) {
        if (ids[behind] >= 0 && alike(ids, behind, length, same)) {
          int end = behind;
          while (end < length && end < behind + most && ids[end] >= 0) {
            end++;
          }
          return Arrays.copyOfRange(ids, behind, end);
        }
      }
    }
    return new int[0];
  }

  private static boolean alike(int[] ids, int behind, int length, int same) {
    for (int i = 1; i <= same; i++) {
      if (ids[behind - i] != ids[length - i] || ids[length - i] < 0) {
        return false;
      }
    }
    return true;
  }
}
