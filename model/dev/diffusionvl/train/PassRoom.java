// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.train;

import dev.diffusionvl.loader.TextConfig;
import dev.diffusionvl.model.RopeTable;
import dev.diffusionvl.runtime.Stream;

/** The memory that passes work on, which grows with the largest one. May be closed and used again. */
final class PassRoom implements AutoCloseable {
  /** Memory for so many rows and targets. */
  @FunctionalInterface
  interface Maker {
    TextActivations make(int rows, int targets);
  }

  private final Stream stream;
  private final TextConfig config;
  private final Maker maker;
  private TextActivations activations; // null before the first pass
  private RopeTable rope;
  private int ropeRows;

  PassRoom(Stream stream, TextConfig config, Maker maker) {
    this.stream = stream;
    this.config = config;
    this.maker = maker;
  }

  /** Has room for a pass of so many rows, targets and positions. */
  void make(int needed, int targets, int positions) {
    if (activations == null || activations.rows() < needed || activations.targets() < targets) {
      int rows = Math.max(TextActivations.rounded(needed), activations == null ? 0 : activations.rows());
      int learnt = Math.max(TextActivations.rounded(targets), activations == null ? 0 : activations.targets());
      closeActivations(); // before the allocation: both at once may not fit
      activations = maker.make(rows, learnt);
    }
    if (ropeRows < positions) {
      closeRope();
      int rows = TextActivations.rounded(positions);
      rope = RopeTable.text(stream.device(), stream, rows, config.headDim(), config.ropeTheta());
      ropeRows = rows;
    }
  }

  TextActivations activations() {
    return activations;
  }

  RopeTable rope() {
    return rope;
  }

  private void closeActivations() {
    if (activations != null) {
      activations.close();
      activations = null;
    }
  }

  private void closeRope() {
    if (rope != null) {
      rope.close();
      rope = null;
      ropeRows = 0;
    }
  }

  @Override
  public void close() {
    closeActivations();
    closeRope();
  }
}
