// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.model;

import dev.diffusionvl.runtime.op.BlockTable;

/** What the host knows of the block in one slot, as of the last download of the table. */
record BlockState(BlockTable table, int slot) implements Committed {
  @Override
  public int rows() {
    return table.rows();
  }

  @Override
  public int id(int row) {
    return table.id(slot, row);
  }

  @Override
  public int stepOf(int row) {
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

  @Override
  public float confidence(int row) {
    return table.confidence(slot, row);
  }

  void commit(int row, int id, float probability) {
    table.commit(slot, row, id, step(), probability);
  }

  void stepped(int masked) {
    table.stepped(slot, masked);
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
