// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.train;

import java.util.List;

/** Next-token prediction: each row sees itself and the rows before it, and learns the label of the row after it. */
public record AutoregressiveObjective() implements Objective {
  @Override
  public PassRows rows(List<Sample> samples, long[] seeds, int inStep) {
    PassRows.Builder pass = new PassRows.Builder();
    pass.learning();
    int imageRows = 0;
    for (Sample sample : samples) {
      int begin = pass.rows();
      int[] features = sample.features(imageRows);
      for (int i = 0; i < sample.length(); i++) {
        pass.row(sample.ids()[i], features[i]);
      }
      pass.span(sample.length(), 0, begin, begin, true);
      double weight = 1.0 / sample.labelled(1) / inStep; // nothing predicts the first row
      for (int i = 1; i < sample.length(); i++) {
        if (sample.labels()[i] != BlockDiffusionObjective.NO_LABEL) {
          pass.target(begin + i - 1, sample.labels()[i], weight);
        }
      }
      imageRows += sample.imageRows();
    }
    return pass.build();
  }
}
