// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.train;

import java.util.ArrayList;
import java.util.List;
import java.util.SplittableRandom;

/**
 * Block diffusion (docs/model.md, "Training objective"): the row is seen twice, clean and noisy.
 *
 * <pre>
 *   a clean block sees the clean blocks before it and itself
 *   a noisy block sees the clean blocks before it and itself
 *   loss = Σ over masked rows of cross-entropy(logits, label) / t, divided by the number of labels; the mean over the examples
 * </pre>
 *
 * <p>Left out of the pass, because nothing that is learnt depends on it: noisy blocks without a masked row (nobody sees them and they have
 * no loss), and clean blocks behind the last noisy block that is kept.
 *
 * @param blockSize rows of a block, B
 * @param maskId token that hides another one
 * @param lowest noise level
 */
public record BlockDiffusionObjective(int blockSize, int maskId, double lowest) implements Objective {
  /** Label of a row at which nothing is learnt. */
  public static final int NO_LABEL = -100;

  /** The lowest noise level of the paper's recipe. */
  public static final double LOWEST = 1e-3;

  public BlockDiffusionObjective {
    if (blockSize < 1) {
      throw new IllegalArgumentException("block size is " + blockSize);
    }
    if (!(lowest > 0 && lowest < 1)) {
      throw new IllegalArgumentException("the lowest noise level is " + lowest + ", must be between 0 and 1");
    }
  }

  @Override
  public PassRows rows(List<Example> examples, long[] seeds, int inStep) {
    List<Noise> noises = new ArrayList<>();
    for (int s = 0; s < examples.size(); s++) {
      noises.add(Noise.draw(examples.get(s).labels(), blockSize, lowest, new SplittableRandom(seeds[s])));
    }
    return rows(examples, noises, inStep);
  }

  @Override
  public PassRows largest(List<Example> examples) {
    return rows(examples, examples.stream().map(example -> Noise.hidingAll(example.labels(), blockSize)).toList(), examples.size());
  }

  /**
   * The pass with given noise.
   *
   * @param noises one for each example
   */
  public PassRows rows(List<Example> examples, List<Noise> noises, int inStep) {
    PassRows.Builder pass = new PassRows.Builder();
    int[] begins = new int[examples.size()];
    for (int s = 0, imageRows = 0; s < examples.size(); s++) {
      begins[s] = pass.rows();
      clean(pass, examples.get(s), noises.get(s), imageRows);
      imageRows += examples.get(s).imageRows();
    }
    pass.learning();
    for (int s = 0, imageRows = 0; s < examples.size(); s++) {
      noisy(pass, examples.get(s), noises.get(s), imageRows, begins[s], inStep);
      imageRows += examples.get(s).imageRows();
    }
    return pass.build();
  }

  /** The clean blocks before the last noisy one that is kept. */
  private void clean(PassRows.Builder pass, Example example, Noise noise, int firstFeature) {
    int begin = pass.rows();
    int[] features = example.features(firstFeature);
    int last = noise.level().length - 1;
    while (last >= 0 && !noise.hides(last, blockSize)) {
      last--;
    }
    for (int block = 0; block < last; block++) {
      int at = block * blockSize;
      for (int i = at; i < at + blockSize; i++) {
        pass.row(example.ids()[i], features[i]);
      }
      pass.span(blockSize, at, begin, begin + at, false);
    }
  }

  private void noisy(PassRows.Builder pass, Example example, Noise noise, int firstFeature, int cleanBegin, int inStep) {
    int[] features = example.features(firstFeature);
    int labelled = example.labelled(0);
    for (int block = 0; block < noise.level().length; block++) {
      if (!noise.hides(block, blockSize)) {
        continue;
      }
      int at = block * blockSize;
      int end = Math.min(at + blockSize, example.length());
      for (int i = at; i < end; i++) {
        if (noise.masked()[i]) {
          pass.target(pass.rows(), example.labels()[i], 1 / noise.level()[block] / labelled / inStep);
        }
        pass.row(noise.masked()[i] ? maskId : example.ids()[i], features[i]);
      }
      pass.span(end - at, at, cleanBegin, cleanBegin + at, false);
    }
  }
}
