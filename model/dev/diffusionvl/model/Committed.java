// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.model;

/** Rows of an answer, and which step committed what. */
interface Committed {
  int rows();

  /** Token id, the mask id, or negative: a row of the prompt. */
  int id(int row);

  /** The step that committed the row, −1 before. */
  int stepOf(int row);

  /** Probability of the row's token when it was committed. */
  float confidence(int row);
}
