// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.train;

import java.nio.file.Path;
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
 * @param optimizer how AdamW's moments are kept
 * @param lora adapters that are trained in place of the language model's own weights, or null
 * @param featureCache folder in which what a frozen vision tower makes of images is kept, so that it is computed once; or null
 */
public record TrainerOptions(int batch, int accumulate, double rate, double visionRate, double warmup, int steps, boolean constantRate,
    double weightDecay, double clip, long seed, Set<TrainedPart> parts, boolean recompute, Optimizer optimizer,
    Lora lora, Path featureCache) {
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
    if (lora != null && !parts.contains(TrainedPart.LM)) {
      throw new IllegalArgumentException("adapters are of the language model, which is not among the trained parts " + parts);
    }
    if (featureCache != null && parts.contains(TrainedPart.VISION)) {
      throw new IllegalArgumentException("features are kept of a frozen vision tower, but it is among the trained parts " + parts);
    }
  }

  /** AdamW in F32, no adapters and no cache. */
  public TrainerOptions(int batch, int accumulate, double rate, double visionRate, double warmup, int steps, boolean constantRate,
      double weightDecay, double clip, long seed, Set<TrainedPart> parts, boolean recompute) {
    this(batch, accumulate, rate, visionRate, warmup, steps, constantRate, weightDecay, clip, seed, parts, recompute, Optimizer.ADAMW,
        null, null);
  }

  public TrainerOptions withBatch(int records, int passes) {
    return new TrainerOptions(records, passes, rate, visionRate, warmup, steps, constantRate, weightDecay, clip, seed, parts, recompute,
        optimizer, lora, featureCache);
  }

  public TrainerOptions withParts(Set<TrainedPart> value) {
    return new TrainerOptions(batch, accumulate, rate, visionRate, warmup, steps, constantRate, weightDecay, clip, seed, value, recompute,
        optimizer, lora, featureCache);
  }

  public TrainerOptions withRecompute(boolean value) {
    return new TrainerOptions(batch, accumulate, rate, visionRate, warmup, steps, constantRate, weightDecay, clip, seed, parts, value,
        optimizer, lora, featureCache);
  }

  public TrainerOptions withOptimizer(Optimizer value) {
    return new TrainerOptions(batch, accumulate, rate, visionRate, warmup, steps, constantRate, weightDecay, clip, seed, parts, recompute,
        value, lora, featureCache);
  }

  /** @param value null: no adapters */
  public TrainerOptions withLora(Lora value) {
    return new TrainerOptions(batch, accumulate, rate, visionRate, warmup, steps, constantRate, weightDecay, clip, seed, parts, recompute,
        optimizer, value, featureCache);
  }

  /** @param folder null: none */
  public TrainerOptions withFeatureCache(Path folder) {
    return new TrainerOptions(batch, accumulate, rate, visionRate, warmup, steps, constantRate, weightDecay, clip, seed, parts, recompute,
        optimizer, lora, folder);
  }

  /** Whether the gradient of image features is wanted: something before the language model is trained. */
  boolean learnsFromImages() {
    return parts.contains(TrainedPart.VISION) || parts.contains(TrainedPart.PROJECTOR);
  }

  /** Records of one optimiser step. */
  public int recordsPerStep() {
    return Math.multiplyExact(batch, accumulate);
  }
}
