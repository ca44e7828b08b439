// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.train;

/** Hears how a {@link TrainingRun} goes on, in the run's thread. */
public interface TrainingListener extends BadRecord.Listener {
  /** Something that the user should know, once. */
  default void remark(String line) {}

  /** A step was taken and logged. */
  void step(Trainer.Step step);

  /** The held-out questions were asked behind a step. */
  default void score(int step, HeldOut.Score score) {}

  /** Asked between steps; true ends the run behind a snapshot. */
  default boolean isCancelled() {
    return false;
  }
}
