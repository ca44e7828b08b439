// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.quantize;

import java.util.concurrent.CancellationException;

/** Hears how far the work is, and can end it. */
public interface Progress {
  /** Hears nothing and ends nothing. */
  Progress NONE = (what, done, total) -> false;

  /**
   * @param what is being done
   * @param done of {@code total}
   * @return whether to end: nothing is left then
   */
  boolean at(String what, int done, int total);

  /** @throws CancellationException if the work is to end */
  default void step(String what, int done, int total) {
    if (at(what, done, total)) {
      throw new CancellationException("stopped while " + what);
    }
  }
}
