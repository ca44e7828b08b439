// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.train;

import dev.diffusionvl.runtime.DeviceBuffer;

/** Hears what goes into the linear layers of the language model on the way forward. */
@FunctionalInterface
public interface LayerInputs {
  /** Which linear layers take the rows. */
  enum Place {
    /** Queries, keys and values: the rows behind the layer's first norm. */
    QKV,
    /** The output projection: what attention gives. */
    OUTPUT,
    /** Gate and up: the rows behind the layer's second norm. */
    GATE_UP,
    /** Down: gate and up multiplied. */
    DOWN,
    /** The output matrix: rows that something is predicted at, behind the final norm. */
    HEAD
  }

  /** Nobody hears. */
  LayerInputs NONE = (layer, place, x, rows) -> {};

  /**
   * Called when the kernels that make the rows have been queued on the pass's stream.
   *
   * @param layer from 0; of the output matrix the number of layers
   * @param x [rows or more, in]; holds them until the next kernel of the pass is queued
   */
  void hear(int layer, Place place, DeviceBuffer x, int rows);
}
