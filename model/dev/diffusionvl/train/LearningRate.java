// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.train;

/**
 * The learning rate of each step: a linear rise over the first steps, then half a cosine down to 0, or a constant.
 *
 * @param peak the highest rate
 * @param warmupSteps steps of the rise
 * @param totalSteps steps in all; 0: the rate stays at its peak after the rise
 */
public record LearningRate(double peak, int warmupSteps, int totalSteps) {
  public LearningRate {
    if (!(peak > 0) || warmupSteps < 0 || totalSteps < 0) {
      throw new IllegalArgumentException("learning rate %s, %d warm-up steps of %d".formatted(peak, warmupSteps, totalSteps));
    }
  }

  /** @param warmup part of the steps over which the rate rises, rounded up */
  public static LearningRate cosine(double peak, double warmup, int totalSteps) {
    return new LearningRate(peak, (int) Math.ceil(warmup * totalSteps), totalSteps);
  }

  /** Part of the peak at a step, counted from 0. */
  public double factor(int step) {
    if (step < warmupSteps) {
      return (double) step / warmupSteps;
    }
    if (totalSteps == 0) {
      return 1;
    }
    double progress = (double) (step - warmupSteps) / Math.max(1, totalSteps - warmupSteps);
    return 0.5 * (1 + Math.cos(Math.PI * Math.min(1, progress)));
  }
}
