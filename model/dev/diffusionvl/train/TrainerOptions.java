// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.train;

import java.util.Set;

/**
 * How a model is trained.
 *
 * @param batch records in one pass
 * @param accumulate passes per step, whose gradients are added up
 * @param rate learning rate of language model and projector
 * @param visionRate of the vision tower
 * @param warmup part of the steps over which the rates rise
 * @param steps optimiser steps in all
 * @param constantRate the rates stay at their peak instead of falling along a cosine
 * @param weightDecay decoupled weight decay
 * @param clip greatest global norm of the gradients
 * @param seed of noise and order
 * @param parts that are trained
 * @param recompute layers keep only their inputs on the way forward
 */
public record TrainerOptions(int batch, int accumulate, double rate, double visionRate, double warmup, int steps, boolean constantRate,
    double weightDecay, double clip, long seed, Set<TrainedPart> parts, boolean recompute) {
  public TrainerOptions {
    if (batch < 1 || accumulate < 1 || steps < 1) {
      throw new IllegalArgumentException("batch %d, accumulate %d, steps %d: all must be at least 1".formatted(batch, accumulate, steps));
    }
    if (!(rate > 0) || !(visionRate > 0) || !(clip > 0) || !(weightDecay >= 0) || !(warmup >= 0 && warmup <= 1)) {
      throw new IllegalArgumentException("rate %s, vision rate %s, clip %s, weight decay %s, warm-up %s".formatted(rate, visionRate, clip,
          weightDecay, warmup));
    }
    parts = Set.copyOf(parts);
    if (parts.isEmpty()) {
      throw new IllegalArgumentException("no part of the model is trained");
    }
  }

  /** Records of one optimiser step. */
  public int recordsPerStep() {
    return Math.multiplyExact(batch, accumulate);
  }
}
