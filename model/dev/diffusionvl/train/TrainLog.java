// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.train;

import java.util.Locale;

/** {@code train.jsonl}: one line per step. It holds nothing that differs from run to run, so that a run that was resumed has the same. */
record TrainLog(LineLog lines) {
  /** @param score null where nothing was asked */
  void add(Trainer.Step step, HeldOut.Score score) {
    String asked = score == null ? "" : String.format(Locale.ROOT, ", \"eval_score\": %s, \"eval_right\": %d, \"eval_questions\": %d",
        score.part(), score.right(), score.questions());
    lines.add(String.format(Locale.ROOT, "{\"step\": %d, \"loss\": %s, \"grad_norm\": %s, \"lr\": %s, \"tokens\": %d%s}", step.step(),
        step.loss(), step.gradientNorm(), step.rate(), step.tokens(), asked));
  }
}
