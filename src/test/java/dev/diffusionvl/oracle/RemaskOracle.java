// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.oracle;

import java.util.Arrays;

/** A block being denoised, step by step and by the book (docs/model.md, "Block-diffusion generation"), with drafts of its future. */
public final class RemaskOracle {
  public final int[] ids;
  public final int[] stepOf;
  public final float[] confidence;
  public int step;
  public boolean nan;
  public int forwards;
  public int openDrafts;
  private final int[] quota;
  private final boolean dynamic;
  private final float threshold;
  private final int maskId;

  public RemaskOracle(int[] ids, int[] quota, boolean dynamic, float threshold, int maskId) {
    this.ids = ids.clone();
    this.stepOf = new int[ids.length];
    Arrays.fill(stepOf, -1);
    this.confidence = new float[ids.length];
    this.quota = quota;
    this.dynamic = dynamic;
    this.threshold = threshold;
    this.maskId = maskId;
  }

  public int masked() {
    return (int) Arrays.stream(ids).filter(id -> id == maskId).count();
  }

  /**
   * Takes the steps that a pass gives predictions for.
   *
   * @param carried the states that the pass carried: this block and drafts
   * @param token per state and row
   * @param probability per state and row
   * @return {@code drafts} new drafts, or null after a NaN
   */
  public int[][] pass(int[][] carried, int[][] token, float[][] probability, int drafts) {
    int used = 0;
    for (int v = 0; v < carried.length && masked() > 0 && step < quota.length && Arrays.equals(carried[v], ids); v++) {
      int[] open = open(ids);
      for (int i = 0; i < ids.length; i++) {
        nan |= open[i] != 0 && Float.isNaN(probability[v][i]);
      }
      if (nan) {
        return null;
      }
      used = v;
      boolean[] take = SamplingOracle.committed(probability[v], open, quota[step], dynamic, threshold);
      boolean kept = false;
      for (int i = 0; i < ids.length; i++) {
        if (take[i]) {
          ids[i] = token[v][i];
          stepOf[i] = step;
          confidence[i] = probability[v][i];
          kept |= ids[i] == maskId;
        }
      }
      step++;
      if (kept) {
        break;
      }
    }
    forwards++;
    return draft(token[used], probability[used], drafts);
  }

  private int[][] draft(int[] token, float[] probability, int drafts) {
    int[][] states = new int[drafts][];
    int[] draft = ids.clone();
    int[] open = open(ids);
    openDrafts = 0;
    for (int d = 0; d < drafts; d++) {
      int take = step + d < quota.length ? quota[step + d] : 0;
      boolean[] filled = SamplingOracle.committed(probability, open, take, dynamic, threshold);
      for (int i = 0; i < ids.length; i++) {
        if (filled[i]) {
          draft[i] = token[i];
          open[i] = 0;
        }
      }
      states[d] = draft.clone();
      openDrafts += Arrays.stream(open).sum() > 0 && step + d + 1 < quota.length ? 1 : 0;
    }
    return states;
  }

  private int[] open(int[] of) {
    return Arrays.stream(of).map(id -> id == maskId ? 1 : 0).toArray();
  }
}
