// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.train;

import java.util.List;

/**
 * What is learnt from examples, as rows of a pass and targets (docs/model.md, "Training objective"). Made on the host; no device is needed.
 */
public sealed interface Objective permits BlockDiffusionObjective, AutoregressiveObjective {
  /**
   * The pass over some examples of a step. The same arguments give the same pass.
   *
   * @param examples at least one; their image features stand one after the other
   * @param seeds one for each example, for what is drawn
   * @param inStep examples of the whole optimiser step, whose losses are averaged
   */
  PassRows rows(List<Example> examples, long[] seeds, int inStep);

  /** A pass over the examples that no other draw exceeds, in rows or targets. */
  PassRows largest(List<Example> examples);
}
