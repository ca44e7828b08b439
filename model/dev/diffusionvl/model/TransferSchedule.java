// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.model;

/** How many positions each denoising step commits (docs/model.md, "Schedule"). */
final class TransferSchedule {
  private TransferSchedule() {}

  /** S + 1 numbers: n div S everywhere and one more in the first n mod S. */
  static int[] of(int n, int steps) {
    int[] quota = new int[steps + 1];
    for (int i = 0; i <= steps; i++) {
      quota[i] = n / steps + (i < n % steps ? 1 : 0);
    }
    return quota;
  }
}
