// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.train;

import dev.diffusionvl.loader.BadInputException;

/**
 * What became of a record.
 *
 * @param value null if it is bad
 * @param bad null if it is good
 */
record Outcome<T>(T value, BadRecord bad) {
  /** @throws BadInputException if the record is bad */
  T orThrow() {
    if (bad != null) {
      throw new BadInputException(bad.line());
    }
    return value;
  }
}
