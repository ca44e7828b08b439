// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.train;

import java.util.Arrays;
import java.util.SplittableRandom;

/**
 * What one draw hides of a training row.
 *
 * @param level per block its noise level t: the probability that a labelled token of it is masked
 * @param masked per row whether it is masked
 */
public record Noise(double[] level, boolean[] masked) {

  /**
   * Draws stratified noise: with n blocks, block k gets a level from the k-th of n equal parts of the range, so that the levels rise along
   * the row; then each labelled token is masked with the probability of its block.
   *
   * @param labels per row the token to be learnt, or {@link BlockDiffusionObjective#NO_LABEL}
   * @param lowest level that can be drawn; the highest is 1
   */
  static Noise draw(int[] labels, int blockSize, double lowest, SplittableRandom random) {
    int blocks = (labels.length + blockSize - 1) / blockSize;
    double[] level = new double[blocks];
    for (int k = 0; k < blocks; k++) {
      double part = (random.nextDouble() + k) / blocks;
      level[k] = part * (1 - lowest) + lowest;
    }
    boolean[] masked = new boolean[labels.length];
    for (int i = 0; i < labels.length; i++) {
      masked[i] = random.nextDouble() <= level[i / blockSize] && labels[i] != BlockDiffusionObjective.NO_LABEL;
    }
    return new Noise(level, masked);
  }

  /** The most that can be hidden: every labelled token. */
  static Noise hidingAll(int[] labels, int blockSize) {
    double[] level = new double[(labels.length + blockSize - 1) / blockSize];
    Arrays.fill(level, 1);
    boolean[] masked = new boolean[labels.length];
    for (int i = 0; i < labels.length; i++) {
      masked[i] = labels[i] != BlockDiffusionObjective.NO_LABEL;
    }
    return new Noise(level, masked);
  }

  /** True if some row of the block is masked. */
  boolean hides(int block, int blockSize) {
    for (int i = block * blockSize; i < Math.min((block + 1) * blockSize, masked.length); i++) {
      if (masked[i]) {
        return true;
      }
    }
    return false;
  }
}
