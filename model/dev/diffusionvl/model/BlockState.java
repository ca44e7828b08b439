// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.model;

import dev.diffusionvl.runtime.op.BlockTable;

/** What the host knows of the block in one slot, as of the last download of the table. */
record BlockState(BlockTable table, int slot) {
  int rows() {
    return table.rows();
  }

  /** Token id, the mask id, or negative: a row of the prompt. */
  int id(int row) {
    return table.id(slot, row);
  }

  /** The step that committed the row, −1 before. */
  int stepOf(int row) {
    return table.stepOf(slot, row);
  }

  /** Rows that the step committed. */
  int committedBy(int step) {
    int count = 0;
    for (int i = 0; i < rows(); i++) {
      count += stepOf(i) == step ? 1 : 0;
    }
    return count;
  }

  /** Probability of the row's token when it was committed. */
  float confidence(int row) {
    return table.confidence(slot, row);
  }

  int step() {
    return table.step(slot);
  }

  int masked() {
    return table.masked(slot);
  }

  int openDrafts() {
    return table.openDrafts(slot);
  }

  boolean sawNaN() {
    return table.sawNaN(slot);
  }

  int forwards() {
    return table.forwards(slot);
  }
}
