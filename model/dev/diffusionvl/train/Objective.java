// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.train;

import java.util.List;

/** What is learnt from samples, as rows of a pass and targets. */
public sealed interface Objective permits BlockDiffusionObjective, AutoregressiveObjective {
  /**
   * The pass over some samples of a step. The same arguments give the same pass.
   *
   * @param samples at least one; their image features stand one after the other
   * @param seeds one for each sample, for what is drawn
   * @param inStep samples of the whole optimiser step, whose losses are averaged
   */
  PassRows rows(List<Sample> samples, long[] seeds, int inStep);
}
