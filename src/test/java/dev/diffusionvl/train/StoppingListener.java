// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.train;

import java.util.ArrayList;
import java.util.List;

/** Stops a run behind a step, and remembers what the run said. */
final class StoppingListener implements TrainingListener {
  final List<String> remarks = new ArrayList<>();
  final List<String> skipped = new ArrayList<>(); // ids
  private final int behind;
  private int taken;

  /** @param behind step; {@link Integer#MAX_VALUE}: the run goes on to its end */
  StoppingListener(int behind) {
    this.behind = behind;
  }

  @Override
  public void remark(String line) {
    remarks.add(line);
  }

  @Override
  public void step(Trainer.Step step) {
    taken = step.step();
  }

  @Override
  public boolean isCancelled() {
    return taken >= behind;
  }

  @Override
  public void skipped(BadRecord record) {
    skipped.add(record.id());
  }
}
