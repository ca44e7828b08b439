// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.quantize;

import dev.diffusionvl.loader.ModelConfig;
import dev.diffusionvl.train.AutoregressiveObjective;
import dev.diffusionvl.train.BlockDiffusionObjective;
import dev.diffusionvl.train.Example;
import dev.diffusionvl.train.ForwardPass;
import dev.diffusionvl.train.LayerInputs;
import dev.diffusionvl.train.Noise;
import dev.diffusionvl.train.PassRows;
import dev.diffusionvl.train.TrainingRow;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.SplittableRandom;

/**
 * What a model predicts at each step of denoising: at step k of a block of B tokens k of them are known, the recorded ones, and the others
 * are predicted. Which are known first is drawn by a seed; so two models predict the same tokens from the same texts.
 *
 * @param tokens by step
 */
public record StepPredictions(List<int[]> tokens) {
  /**
   * How often two models agree at a step.
   *
   * @param step from 0: so many tokens of each block are known
   * @param tokens that both predicted
   * @param equal of them
   */
  public record Agreement(int step, int tokens, int equal) {
    /** From 0 to 1. */
    public double part() {
      return (double) equal / Math.max(1, tokens);
    }
  }

  /** Asks a model. @param pass of that model */
  public static StepPredictions of(ModelConfig config, ForwardPass pass, List<TrainingRow> records, long seed, Progress progress) {
    int steps = config.diffusion() ? config.blockSize() : 1; // token by token all that is before is known
    List<int[]> tokens = new ArrayList<>();
    for (int step = 0; step < steps; step++) {
      List<int[]> predicted = new ArrayList<>();
      for (int i = 0; i < records.size(); i++) {
        progress.step("predicting", step * records.size() + i, steps * records.size());
        PassRows rows = rows(config, records.get(i).example(), step, seed + i);
        predicted.add(rows.targets().isEmpty() ? new int[0] : pass.run(records.get(i), rows, LayerInputs.NONE));
      }
      tokens.add(predicted.stream().flatMapToInt(Arrays::stream).toArray());
    }
    progress.step("predicting", steps * records.size(), steps * records.size());
    return new StepPredictions(tokens);
  }

  private static PassRows rows(ModelConfig config, Example example, int step, long seed) {
    if (!config.diffusion()) {
      return new AutoregressiveObjective().rows(List.of(example), new long[1], 1);
    }
    BlockDiffusionObjective objective =
        new BlockDiffusionObjective(config.blockSize(), config.maskTokenId(), BlockDiffusionObjective.LOWEST);
    return objective.rows(List.of(example), List.of(known(example.labels(), config.blockSize(), step, seed)), 1);
  }

  /** Hides all labelled tokens but {@code step} of each block; those of an earlier step are known at a later one. */
  private static Noise known(int[] labels, int blockSize, int step, long seed) {
    boolean[] masked = new boolean[labels.length];
    double[] level = new double[Math.ceilDiv(labels.length, blockSize)];
    SplittableRandom random = new SplittableRandom(seed);
    for (int block = 0; block < level.length; block++) {
      List<Integer> order = new ArrayList<>();
      for (int i = block * blockSize; i < Math.min((block + 1) * blockSize, labels.length); i++) {
        order.add(random.nextInt(order.size() + 1), i);
      }
      for (int row : order.subList(Math.min(step, order.size()), order.size())) {
        masked[row] = labels[row] != BlockDiffusionObjective.NO_LABEL;
      }
      level[block] = 1 - (double) step / blockSize;
    }
    return new Noise(level, masked);
  }

  /** Compares with what another model predicts of the same records. */
  public List<Agreement> with(StepPredictions other) {
    List<Agreement> agreements = new ArrayList<>();
    for (int step = 0; step < tokens.size(); step++) {
      int[] mine = tokens.get(step);
      int[] theirs = other.tokens.get(step);
      int equal = 0;
      for (int i = 0; i < mine.length; i++) {
        equal += mine[i] == theirs[i] ? 1 : 0;
      }
      agreements.add(new Agreement(step, mine.length, equal));
    }
    return agreements;
  }
}
