// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.train;

import dev.diffusionvl.model.DiffusionVl;

/**
 * Questions that the data do not hold, and when a run asks them. The model answers with the weights as they stand, by the code that
 * generates: nothing of the training changes by it.
 *
 * @param every steps from one time to the next; the last step is one too
 * @param questions null: none are asked
 */
public record HeldOut(int every, Questions questions) {
  /** No questions. */
  public static final HeldOut NONE = new HeldOut(1, null);

  public HeldOut {
    if (every < 1) {
      throw new IllegalArgumentException("held-out questions every " + every + " steps, must be at least 1");
    }
  }

  /** What can be asked. */
  @FunctionalInterface
  public interface Questions {
    /**
     * Asks the model. The same weights must give the same score.
     *
     * @param model not used by anyone else meanwhile; memory that is taken on its device is given back before this returns
     */
    Score score(DiffusionVl model);

    /** What tells these questions from others; a run that goes on must have the same. */
    default String name() {
      return "some";
    }
  }

  /** How many answers were right. */
  public record Score(int right, int questions) {
    public Score {
      if (right < 0 || right > questions || questions < 1) {
        throw new IllegalArgumentException(right + " of " + questions + " questions");
      }
    }

    /** From 0 to 1. */
    public double part() {
      return (double) right / questions;
    }
  }

  /** As a setting of a run. */
  String name() {
    return questions == null ? "none" : questions.name();
  }

  boolean due(int step, int last) {
    return questions != null && (step % every == 0 || step == last);
  }
}
