// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.train;

import java.util.List;

/**
 * Next-token prediction: each row sees itself and the rows before it, and learns the label of the row after it. The loss of an example is
 * the mean cross-entropy over its labelled rows but the first, that of a step the mean over its examples. It is the first stage of the
 * SigLIP family (docs/model.md, "Training objective").
 */
public record AutoregressiveObjective() implements Objective {
  @Override
  public PassRows rows(List<Example> examples, long[] seeds, int inStep) {
    PassRows.Builder pass = new PassRows.Builder();
    pass.learning();
    int imageRows = 0;
    for (Example example : examples) {
      int begin = pass.rows();
      int[] features = example.features(imageRows);
      for (int i = 0; i < example.length(); i++) {
        pass.row(example.ids()[i], features[i]);
      }
      pass.span(example.length(), 0, begin, begin, true);
      double weight = 1.0 / example.labelled(1) / inStep; // nothing predicts the first row
      for (int i = 1; i < example.length(); i++) {
        if (example.labels()[i] != BlockDiffusionObjective.NO_LABEL) {
          pass.target(begin + i - 1, example.labels()[i], weight);
        }
      }
      imageRows += example.imageRows();
    }
    return pass.build();
  }

  @Override
  public PassRows largest(List<Example> examples) {
    return rows(examples, new long[examples.size()], examples.size()); // nothing is drawn
  }
}
